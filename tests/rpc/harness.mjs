// What the suites share: the client under test, and checks that print a line each.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const require = createRequire(join(process.env.CAPNWEB_CLIENTS, 'package.json'))
const capnweb = require(process.env.CAPNWEB_CLIENT)
const { WebSocket } = require('ws')

// Node has one of its own from version 22 on; the clients ask it for its constants.
globalThis.WebSocket ??= WebSocket
Symbol.dispose ??= Symbol('dispose')

export { assert, WebSocket }

// What the test says: where the service is, and with which credentials.
export const input = JSON.parse(process.env.CAPNWEB_INPUT)

const http = `${input.url}/rpc`
const ws = http.replace('http', 'ws')
// Whoever waits for something that never comes has failed.
const LIMIT = 120_000

let failed = 0
process.on('unhandledRejection', (error) => {
  failed += 1
  console.log(`not ok - rejected unseen: ${error?.stack ?? error}`)
})

/** A session over a WebSocket, and the socket. */
export function connect() {
  const socket = new WebSocket(ws)
  // As a browser's socket does; the session hears of it too.
  socket.on('error', () => {})
  return { api: capnweb.newWebSocketRpcSession(socket), socket }
}

/** What `use` makes of a session, whose socket is closed then. */
export async function on(use) {
  const { api, socket } = connect()
  try {
    return await use(api, socket)
  } finally {
    socket.close()
  }
}

/** A session of one batch. */
export function batch() {
  return capnweb.newHttpBatchRpcSession(http)
}

/** The three ways of calling a method of an entry point. */
export const WAYS = {
  awaited: (entry, token, method, argument) => on(async (api) => {
    const object = await api[entry](token)
    assert.equal('error' in object, false, object.error)
    return object[method](...argument)
  }),
  pipelined: (entry, token, method, argument) => on((api) => api[entry](token)[method](...argument)),
  batched: (entry, token, method, argument) => batch()[entry](token)[method](...argument),
}

/** One check, and its line. */
export async function check(name, run) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer in time')), LIMIT)
  })
  try {
    await Promise.race([run(), late])
    console.log(`ok - ${name}`)
  } catch (error) {
    failed += 1
    console.log(`not ok - ${name}: ${error?.stack ?? error}`)
  } finally {
    clearTimeout(timer)
  }
}

/** The error that a promise is rejected with. */
export async function rejection(promise) {
  try {
    const answer = await promise
    throw new assert.AssertionError({ message: `not rejected: ${JSON.stringify(answer)}` })
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error
    // Version 0.4 hands over an abort's reason in its wrapping.
    return error?.value instanceof Error ? error.value : error
  }
}

/** The last line of a suite. */
export function finish() {
  console.log(failed === 0 ? 'all well' : `${failed} failed`)
  process.exit(failed === 0 ? 0 : 1)
}
