// A token that is revoked in the middle: the next call is refused, and the socket ends with a reason.

import { assert, batch, check, finish, input, on, rejection } from './harness.mjs'

const REASON = /a credential of this socket was revoked/
const entity = { id: 'someone', name: 'someone', type: 'service' }

const minted = (san) =>
  batch().tokens(input.token).create({ subject: san, entity, principal: 'ADMIN', sans: [san], expiresIn: '1h' })
const revoke = (san) => batch().tokens(input.token).revoke({ san })
const closed = (socket) => new Promise((resolve) => socket.on('close', resolve))

await check('where the shape has success', async () => {
  const token = await minted('one')
  await on(async (api, socket) => {
    const pki = await api.pki(token)
    assert.equal((await pki.initialize()).success, true)
    await revoke('one')
    const gone = closed(socket)
    const answer = await pki.initialize()
    assert.deepEqual(answer, { success: false, error: 'Invalid token', code: 'credential_revoked' })
    await gone
    assert.match((await rejection(pki.initialize())).message, REASON)
  })
})

await check('where it has not', async () => {
  const token = await minted('two')
  await on(async (api, socket) => {
    const pki = await api.pki(token)
    assert.deepEqual(await pki.listDenied(), [])
    await revoke('two')
    const gone = closed(socket)
    assert.equal((await rejection(pki.listDenied())).message, 'Invalid token')
    await gone
    assert.match((await rejection(pki.listDenied())).message, REASON)
  })
})

await check('at an entry point, and of permissions', async () => {
  const token = await minted('three')
  await on(async (api, socket) => {
    const permissions = await api.permissions(token)
    await revoke('three')
    const gone = closed(socket)
    const nodeContext = { nodeId: 'n1', domains: [] }
    const [entry, answer] = await Promise.all([
      api.pki(token),
      permissions.authorizeAction({ action: 'LOGIN', nodeContext }),
    ])
    assert.deepEqual({ ...entry }, { error: 'Invalid token' })
    assert.deepEqual([answer.success, answer.errorType, answer.reason], [false, 'token_revoked', 'Invalid token'])
    await gone
  })
})

await check('a socket that only heard of it stays', async () => {
  const token = await minted('four')
  await revoke('four')
  await on(async (api, socket) => {
    const pki = await api.pki(input.token)
    assert.deepEqual({ ...(await api.pki(token)) }, { error: 'Invalid token' })
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    assert.equal(socket.readyState, socket.OPEN)
    assert.deepEqual(await pki.listDenied(), [])
  })
})

finish()
