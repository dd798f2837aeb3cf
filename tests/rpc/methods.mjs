// Every method of every entry point: awaited and pipelined over a socket, and in a batch.

import { WAYS, assert, check, finish, input } from './harness.mjs'

const keys = (object) => Object.keys(object).sort()
const has = (object, ...names) => {
  for (const name of names) assert.ok(name in object, `${name} is missing in ${JSON.stringify(object)}`)
}
const DAY = 86_400_000
const PEM = /^-----BEGIN CERTIFICATE-----\n/

for (const [way, call] of Object.entries(WAYS)) {
  const ask = (entry, method, ...argument) => call(entry, input.token, method, argument)
  const entity = { id: `id-${way}`, name: `name-${way}`, type: 'service' }
  let jwt

  await check(`tokens.create, ${way}`, async () => {
    jwt = await ask('tokens', 'create', {
      subject: `subject-${way}`,
      entity: { ...entity, nodeId: undefined, trustedNodes: ['n1'], trustedDomains: [] },
      principal: 'CATALYST::NODE',
      sans: undefined,
      expiresIn: '1h',
    })
    assert.match(jwt, /^[\w-]+\.[\w-]+\.[\w-]+$/)
    const bare = await ask('tokens', 'create', {
      subject: `bare-${way}`,
      entity,
      principal: 'USER',
      sans: [`san-${way}`],
      expiresIn: '7d',
      certificateFingerprint: input.fingerprint,
    })
    assert.equal(typeof bare, 'string')
  })

  await check(`tokens.list, ${way}`, async () => {
    const all = await ask('tokens', 'list', {})
    assert.ok(Array.isArray(all))
    const own = all.find((record) => record.sub === `subject-${way}`)
    has(own, 'jti', 'sub', 'iat', 'exp', 'expiry', 'sans', 'entityId', 'entityName', 'entityType', 'revoked')
    assert.equal(own.exp - own.iat, 3600)
    assert.deepEqual([own.sans, own.revoked], [[], false])
    const [bare, ...others] = await ask('tokens', 'list', { san: `san-${way}` })
    assert.equal(others.length, 0)
    assert.deepEqual([bare.cfn, bare.certificateFingerprint], [input.fingerprint, input.fingerprint])
    assert.equal((await ask('tokens', 'list')).length, all.length)
  })

  await check(`certs.getTokensByCert, ${way}`, async () => {
    const found = await ask('certs', 'getTokensByCert', { fingerprint: input.fingerprint })
    assert.ok(found.some((record) => record.sub === `bare-${way}`))
    assert.ok(found.every((record) => record.certificateFingerprint === input.fingerprint))
  })

  await check(`validation.validate, ${way}`, async () => {
    const good = await ask('validation', 'validate', { token: jwt, audience: undefined })
    assert.equal(good.valid, true)
    assert.deepEqual([good.payload.sub, good.payload.principal], [`subject-${way}`, 'CATALYST::NODE'])
    const bad = await ask('validation', 'validate', { token: 'garbage' })
    assert.deepEqual([bad.valid, typeof bad.error], [false, 'string'])
    const elsewhere = await ask('validation', 'validate', { token: jwt, audience: 'elsewhere' })
    assert.equal(elsewhere.valid, false)
  })

  await check(`permissions.authorizeAction, ${way}`, async () => {
    const may = (token, action) =>
      call('permissions', token, 'authorizeAction', [{ action, nodeContext: { nodeId: 'n1', domains: ['example.org'] } }])
    assert.deepEqual(await may(input.token, 'IBGP_CONNECT'), { success: true, allowed: true })
    assert.deepEqual(await may(jwt, 'IBGP_CONNECT'), { success: true, allowed: true })
    const denied = await may(jwt, 'PEER_CREATE')
    assert.deepEqual([denied.success, denied.errorType], [false, 'permission_denied'])
    assert.ok(Array.isArray(denied.reasons))
  })

  await check(`tokens.revoke and validation.getRevocationList, ${way}`, async () => {
    const { payload } = await ask('validation', 'validate', { token: jwt })
    const answer = await ask('tokens', 'revoke', { jti: payload.jti, san: undefined })
    assert.deepEqual([answer.success, answer.revoked], [true, 1])
    const list = await ask('validation', 'getRevocationList')
    assert.ok(list.includes(payload.jti))
    assert.equal((await ask('validation', 'validate', { token: jwt })).valid, false)
    assert.equal((await ask('tokens', 'revoke', { san: `san-${way}` })).revoked, 1)
  })

  await check(`certs.list and validation.getJWKS, ${way}`, async () => {
    const list = await ask('certs', 'list')
    assert.equal(list.success, true)
    const jwks = await ask('validation', 'getJWKS')
    assert.deepEqual(keys(jwks), ['keys'])
    assert.deepEqual(list.jwks.keys.map((key) => key.kid), jwks.keys.map((key) => key.kid))
  })

  await check(`certs.rotate, ${way}`, async () => {
    const answer = await ask('certs', 'rotate', { immediate: undefined, gracePeriodMs: 30 * DAY })
    assert.equal(answer.success, true)
    has(answer, 'previousKeyId', 'newKeyId', 'gracePeriodEndsAt')
    assert.equal((await ask('validation', 'getJWKS')).keys[0].kid, answer.newKeyId)
  })

  await check(`pki.initialize, ${way}`, async () => {
    const { success, rootFingerprint, servicesCaFingerprint, transportCaFingerprint } = await ask('pki', 'initialize')
    assert.equal(success, true)
    for (const argument of [undefined, {}]) {
      const again = await ask('pki', 'initialize', argument)
      assert.deepEqual(again, { success, rootFingerprint, servicesCaFingerprint, transportCaFingerprint })
    }
  })

  await check(`pki.signCsr, ${way}`, async () => {
    const { csrPem, instanceId } = input.csrs[way]
    const answer = await ask('pki', 'signCsr', { csrPem, serviceType: 'node', instanceId, ttlSeconds: undefined })
    assert.equal(answer.success, true)
    has(answer, 'certificatePem', 'chain', 'expiresAt', 'renewAfter', 'fingerprint', 'serial')
    assert.match(answer.certificatePem, PEM)
    assert.equal(answer.chain.length, 2)
    const list = await ask('pki', 'listCertificates', { spiffeId: input.csrs[way].spiffeId, limit: 1 })
    assert.deepEqual(keys(list[0]), ['commonName', 'expiresAt', 'fingerprint', 'serial', 'spiffeId', 'status', 'type'])
    assert.deepEqual([list.length, list[0].serial, list[0].status], [1, answer.serial, 'active'])
  })

  await check(`pki.listCertificates, ${way}`, async () => {
    const all = await ask('pki', 'listCertificates')
    assert.ok(all.length >= 4)
    assert.equal((await ask('pki', 'listCertificates', { limit: 2 })).length, 2)
    for (const cursor of [3, '3']) {
      const earlier = await ask('pki', 'listCertificates', { cursor })
      assert.deepEqual(earlier.map((row) => row.type).sort(), ['root-ca', 'services-ca'])
    }
    assert.deepEqual(await ask('pki', 'listCertificates', { status: 'revoked' }), [])
  })

  await check(`pki.getStatus, ${way}`, async () => {
    const status = await ask('pki', 'getStatus')
    assert.ok(['healthy', 'degraded'].includes(status.status))
    has(status, 'trustDomain', 'activeCertCount', 'deniedIdentityCount', 'warnings')
    for (const name of ['rootCa', 'servicesCa', 'transportCa']) {
      has(status[name], 'fingerprint', 'commonName', 'algorithm', 'expiresAt', 'issuedCertCount')
    }
    assert.equal(status.intermediates.length, 2)
  })

  await check(`pki.getCaBundle, ${way}`, async () => {
    const bundle = await ask('pki', 'getCaBundle')
    has(bundle, 'trustDomain', 'version', 'expiresAt')
    assert.deepEqual([bundle.servicesBundle.length, bundle.transportBundle.length], [2, 2])
    assert.match(bundle.servicesBundle[0], PEM)
  })

  await check(`pki.denyIdentity, listDenied and allowIdentity, ${way}`, async () => {
    const { spiffeId } = input.csrs[way]
    const denied = await ask('pki', 'denyIdentity', { spiffeId, reason: 'stolen' })
    assert.equal(denied.success, true)
    assert.deepEqual(denied.expiringCerts.map(keys), [['expiresAt', 'serial']])
    const [first] = await ask('pki', 'listDenied')
    assert.deepEqual([first.spiffeId, first.reason], [spiffeId, 'stolen'])
    assert.ok(Math.abs(Date.now() - first.deniedAt) < 60_000)
    assert.equal((await ask('pki', 'allowIdentity', { spiffeId })).success, true)
    assert.deepEqual(await ask('pki', 'listDenied'), [])
  })

  await check(`pki.purgeExpired, ${way}`, async () => {
    assert.deepEqual(await ask('pki', 'purgeExpired'), { purgedCount: 0 })
  })
}

finish()
