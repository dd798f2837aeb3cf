// Everything that is refused: what deployed clients compare with, word for word.

import { WAYS, assert, batch, check, finish, input, on, rejection } from './harness.mjs'

const INVALID = { error: 'Invalid token' }
const NOT_PERMITTED = { error: 'Permission denied: ADMIN principal required' }
const ENTRIES = ['tokens', 'certs', 'validation', 'permissions', 'pki']

await check('a credential that is not taken', () => on(async (api) => {
  for (const entry of ENTRIES) {
    for (const token of ['garbage', '', input.revoked, input.expired, input.bound, 17, null, undefined]) {
      const answer = await api[entry](token)
      assert.equal('error' in answer, true)
      assert.deepEqual({ ...answer }, INVALID, `${entry} of ${token}`)
    }
    assert.deepEqual({ ...(await api[entry]()) }, INVALID)
    assert.deepEqual({ ...(await batch()[entry]('garbage')) }, INVALID)
  }
}))

await check('a credential that policy allows nothing', () => on(async (api) => {
  for (const entry of ['tokens', 'certs', 'validation', 'pki']) {
    const answer = await api[entry](input.user)
    assert.deepEqual({ ...answer }, NOT_PERMITTED, entry)
    assert.deepEqual({ ...(await batch()[entry](input.user)) }, NOT_PERMITTED)
  }
  // What one's own token allows anybody may ask.
  assert.equal('error' in (await api.permissions(input.user)), false)
  const node = { ...(await api.pki(input.node)) }
  assert.equal('error' in node, false)
}))

await check('the object of methods', () => on(async (api) => {
  const tokens = await api.tokens(input.token)
  assert.equal('error' in tokens, false)
  assert.deepEqual(Object.keys(tokens).sort(), ['create', 'list', 'revoke'])
  const pki = await api.pki(input.token)
  assert.equal(Object.keys(pki).length, 10)
  assert.equal(Array.isArray(await pki.listDenied()), true)
}))

await check('a method of an error is none', async () => {
  for (const way of ['pipelined', 'batched']) {
    const error = await rejection(WAYS[way]('tokens', 'garbage', 'create', [{}]))
    assert.equal(error.name, 'TypeError')
    assert.match(error.message, /'create' is not a function/)
  }
})

await check('unknown entry points and methods', () => on(async (api) => {
  for (const promise of [api.secrets(input.token), api.pki(input.token).sign({}), api.pki(input.token).getStatus.more()]) {
    const error = await rejection(promise)
    assert.match(error.message, /is not a function/)
  }
  // The session goes on.
  assert.equal('error' in (await api.pki(input.token)), false)
}))

await check('failures where the shape has success', () => on(async (api) => {
  const pki = await api.pki(input.token)
  const failed = async (promise, code, sentence) => {
    const answer = await promise
    assert.deepEqual([answer.success, answer.code], [false, code])
    assert.match(answer.error, sentence)
  }
  const csr = { csrPem: 'garbage', serviceType: 'node', instanceId: 'n9' }
  await failed(pki.signCsr(csr), 'csr_malformed', / /)
  await failed(pki.signCsr({ ...csr, extra: 1 }), 'malformed_request', /unknown field `extra`/)
  await failed(pki.signCsr(), 'malformed_request', /missing/)
  await failed(pki.signCsr([csr]), 'malformed_request', /not an object/)
  await failed(pki.signCsr({ ...csr, serviceType: 'toaster' }), 'identity_not_allowed', / /)
  await failed(pki.initialize({ commonName: 'Another Root' }), 'conflict', / /)
  await failed(pki.allowIdentity({ spiffeId: input.csrs.awaited.spiffeId }), 'not_found', /is not denied/)
  await failed(pki.denyIdentity({ spiffeId: 'no id', reason: 'x' }), 'identity_not_allowed', / /)
  const certs = await api.certs(input.token)
  await failed(certs.rotate({ immediate: true, gracePeriodMs: 1 }), 'invalid_request', /exclude each other/)
  // A node may have its own certificates signed, and nothing else.
  const node = await api.pki(input.node)
  await failed(node.initialize(), 'permission_denied', /^Permission denied: CA_MANAGE/)
  await failed(node.signCsr(csr), 'permission_denied', /^Permission denied: CERT_SIGN/)
}))

await check('failures where it has not', () => on(async (api) => {
  const rejected = async (promise, sentence) => {
    const error = await rejection(promise)
    assert.equal(error.name, 'Error')
    assert.match(error.message, sentence)
  }
  const tokens = await api.tokens(input.token)
  const entity = { id: 'a', name: 'a', type: 'service' }
  await rejected(tokens.create({ subject: 'a', entity, principal: 'ROOT' }), /^the principal is one of ADMIN/)
  await rejected(tokens.create({ subject: 'a', entity, principal: 'USER', expiresIn: 3600 }), /expected a string/)
  await rejected(tokens.create({ subject: 'a', entity, principal: 'USER', admin: true }), /unknown field `admin`/)
  await rejected(tokens.revoke({}), /exactly one of jti, san and certificateFingerprint/)
  await rejected(tokens.list({ san: 'a', more: 1 }), /unknown field `more`/)
  await rejected(tokens.list({}, {}), /takes one argument/)
  const pki = await api.pki(input.token)
  await rejected(pki.listCertificates({ limit: 0 }), /^limit is 1 to 10000$/)
  await rejected(pki.listCertificates({ cursor: 'x' }), /expected i64/)
  await rejected(pki.getStatus({ verbose: true }), /unknown field `verbose`/)
  const node = await api.pki(input.node)
  await rejected(node.getStatus(), /^Permission denied: CA_READ/)
  await rejected(node.purgeExpired(), /^Permission denied: CERT_PURGE/)
  await rejected((await api.certs(input.token)).getTokensByCert({ fingerprint: 'zz' }), / /)
  await rejected((await api.validation(input.token)).validate(), /missing/)
}))

await check('permissions', () => on(async (api) => {
  const permissions = await api.permissions(input.user)
  const nodeContext = { nodeId: 'n1', domains: ['example.org'] }
  assert.deepEqual(await permissions.authorizeAction({ action: 'LOGIN', nodeContext }), { success: true, allowed: true })
  const denied = await permissions.authorizeAction({ action: 'CA_MANAGE', nodeContext })
  assert.deepEqual([denied.success, denied.errorType], [false, 'permission_denied'])
  assert.match(denied.reasons[0], /^Permission denied: CA_MANAGE/)
  const unknown = await permissions.authorizeAction({ action: 'FLY', nodeContext })
  assert.deepEqual([unknown.success, unknown.errorType, unknown.code], [false, 'system_error', 'action_unknown'])
  assert.match(unknown.reason, /is no action/)
}))

await check('a token that ends answers so, and its socket stays', () => on(async (api, socket) => {
  const token = await api.tokens(input.token).create({
    subject: 'brief',
    entity: { id: 'brief', name: 'brief', type: 'service' },
    principal: 'ADMIN',
    expiresIn: '2s',
  })
  const [permissions, pki] = [await api.permissions(token), await api.pki(token)]
  await new Promise((resolve) => setTimeout(resolve, 3_000))
  const nodeContext = { nodeId: 'n1', domains: [] }
  const expired = await permissions.authorizeAction({ action: 'LOGIN', nodeContext })
  assert.deepEqual([expired.success, expired.errorType, expired.reason], [false, 'token_expired', 'Invalid token'])
  assert.equal((await rejection(pki.getStatus())).message, 'Invalid token')
  await new Promise((resolve) => setTimeout(resolve, 1_000))
  assert.equal(socket.readyState, socket.OPEN)
  assert.equal('error' in (await api.pki(input.token)), false)
}))

finish()
