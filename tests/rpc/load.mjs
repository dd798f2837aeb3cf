// Many calls, many clients, and those that go away in the middle.

import { assert, batch, check, connect, finish, input, on } from './harness.mjs'

const many = (count, make) => Array.from({ length: count }, (_, index) => make(index))

await check('a thousand calls on one socket', () => on(async (api) => {
  const pki = await api.pki(input.token)
  for (let call = 0; call < 1_000; call += 1) assert.deepEqual(await pki.listDenied(), [])
}))

await check('a thousand calls that nobody waits for', () => on(async (api) => {
  const pki = await api.pki(input.token)
  const answers = await Promise.all(many(1_000, () => pki.listDenied()))
  assert.ok(answers.every((answer) => answer.length === 0))
}))

// All are pushed before the first is pulled, and their answers together are many times what a session keeps.
await check('two thousand answers that are pulled late', () => on(async (api) => {
  const pki = await api.pki(input.token)
  const answers = await Promise.all(many(2_000, () => pki.getStatus()))
  assert.ok(answers.every((answer) => answer.intermediates.length === 2))
}))

await check('a hundred lists that are pulled late', () => on(async (api) => {
  const tokens = await api.tokens(input.token)
  const sans = many(90, (index) => `${index}.${'x'.repeat(60)}.example.org`)
  await Promise.all(many(20, (index) => tokens.create({
    subject: `listed-${index}`, entity: { id: `listed-${index}`, name: 'x', type: 'user' }, principal: 'USER', sans,
  })))
  const lists = await Promise.all(many(100, () => tokens.list()))
  assert.ok(lists.every((list) => list.length >= 20))
}))

await check('a thousand calls through entry points that nobody waits for', () => on(async (api) => {
  const answers = await Promise.all(many(500, () => api.pki(input.token).listDenied()))
  assert.ok(answers.every((answer) => answer.length === 0))
}))

await check('two hundred calls in a batch', async () => {
  const api = batch()
  const answers = await Promise.all(many(200, () => api.pki(input.token).listDenied()))
  assert.ok(answers.every((answer) => answer.length === 0))
})

await check('what is released is gone, and the rest goes on', () => on(async (api) => {
  const pki = await api.pki(input.token)
  const kept = await api.pki(input.token)
  pki[Symbol.dispose]()
  assert.deepEqual(await kept.listDenied(), [])
  const list = await kept.listCertificates({ limit: 2 })
  list[Symbol.dispose]?.()
  assert.deepEqual(await kept.listDenied(), [])
  for (let round = 0; round < 200; round += 1) {
    const object = await api.pki(input.token)
    object[Symbol.dispose]()
  }
  assert.deepEqual(await kept.listDenied(), [])
}))

await check('a hundred clients at once', async () => {
  const serials = await Promise.all(many(100, (index) => on(async (api) => {
    const pki = await api.pki(input.token)
    const answers = await Promise.all([pki.getCaBundle(), pki.listDenied(), pki.listCertificates({ limit: 1 })])
    assert.equal(answers[0].servicesBundle.length, 2)
    if (index >= input.many.length) return undefined
    const { csrPem, instanceId } = input.many[index]
    const signed = await pki.signCsr({ csrPem, serviceType: 'node', instanceId })
    assert.equal(signed.success, true, signed.error)
    return signed.serial
  })))
  assert.equal(new Set(serials.filter(Boolean)).size, input.many.length)
})

// Whether each was recorded, the test looks up: all of it, or nothing.
await check('clients that disconnect in the middle', async () => {
  await Promise.all(input.leaving.map(async ({ csrPem, instanceId }, index) => {
    const { api, socket } = connect()
    const call = api.pki(input.token).signCsr({ csrPem, serviceType: 'node', instanceId })
    call.catch(() => {})
    await new Promise((resolve) => socket.on('open', resolve))
    await new Promise((resolve) => setTimeout(resolve, index))
    socket.terminate()
  }))
})

finish()
