// Links Baileys to a running sandbox by QR, comes back without a code, sends a message and waits for the
// receipts. Usage: node check.mjs http://127.0.0.1:<control port>   (exit code 0 when everything worked)
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeWASocket, useMultiFileAuthState, DisconnectReason } from '@whiskeysockets/baileys'
import pino from 'pino'

const control = process.argv[2]
const PHONE = '79990001001', CLIENT = '79990001002', TEXT = 'Здравствуйте, ждём вас завтра в 12:10 👋'
const PATIENCE = 30_000
const say = (line) => process.stdout.write(`${line}\n`)

async function ask(path, body) {
  const response = await fetch(`${control}/${path}`, body && { method: 'POST', body: JSON.stringify(body) })
  const answer = await response.json()
  if (!response.ok) throw new Error(`${path}: ${answer.error}`)
  return answer
}

function until(emitter, event, pick, what) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`no ${what}`)), PATIENCE)
    const look = (value) => {
      const found = pick(value)
      if (!found) return
      clearTimeout(late)
      emitter.off(event, look)
      resolve(found)
    }
    emitter.on(event, look)
  })
}

const { ws_url: waWebSocketUrl } = await ask('settings')
const folder = await mkdtemp(join(tmpdir(), 'check-baileys-'))
const { state, saveCreds } = await useMultiFileAuthState(folder)
const logger = pino({ level: process.env.LOG || 'silent' })

function open() {
  const socket = makeWASocket({ waWebSocketUrl, auth: state, logger, version: [2, 3000, 1023223821] })
  socket.ev.on('creds.update', saveCreds)
  return socket
}

const closed = (socket, code) => until(socket.ev, 'connection.update', (update) =>
  update.connection === 'close' && (update.lastDisconnect?.error?.output?.statusCode === code), `close ${code}`)
const opened = (socket) => until(socket.ev, 'connection.update', (u) => u.connection === 'open', 'open connection')

try {
  await ask('phones', { phone: PHONE, name: 'Baileys' })
  await ask('phones', { phone: CLIENT, name: 'Client', auto_read: true })
  let socket = open()
  const restart = closed(socket, DisconnectReason.restartRequired)
  const qr = await until(socket.ev, 'connection.update', (update) => update.qr, 'QR code')
  say('1. QR code shown')
  const { device } = await ask(`phones/${PHONE}/scan`, { qr })
  await restart
  say(`2. scanned: linked as device ${device}, asked to restart (515)`)

  socket = open()
  await opened(socket)
  say(`3. logged in as ${socket.user.id} (${socket.user.lid})`)

  const dropped = until(socket.ev, 'connection.update', (u) => u.connection === 'close', 'end of a cut line')
  await ask('faults', { kind: 'drop', phone: PHONE })
  await dropped
  socket = open()
  await opened(socket)
  say('4. line cut, back without a QR code')

  const [known] = await socket.onWhatsApp(`+${CLIENT}`)
  if (!known?.exists) throw new Error('the client is not on WhatsApp')
  const statuses = []
  const receipts = until(socket.ev, 'messages.update', (updates) => {
    statuses.push(...updates.map(({ update }) => update.status))
    return statuses.includes(4)
  }, 'read receipt')
  const sent = await socket.sendMessage(`${CLIENT}@s.whatsapp.net`, { text: TEXT })
  await receipts
  const { inbox } = await ask(`phones/${CLIENT}`)
  const arrived = inbox.find((message) => message.id === sent.key.id)
  if (arrived?.text !== TEXT) throw new Error('the text did not arrive as it was sent')
  say(`5. message delivered with its exact text; statuses: ${statuses.join(', ')}`)

  const answer = until(socket.ev, 'messages.upsert', ({ messages }) =>
    messages.find((message) => message.message?.conversation === 'Спасибо!'), 'answer of the client')
  await ask(`phones/${CLIENT}/send`, { to: PHONE, text: 'Спасибо!' })
  await answer
  say('6. answer received and decrypted')

  const out = closed(socket, DisconnectReason.loggedOut)
  await ask(`phones/${PHONE}/remove-devices`, {})
  await out
  say('7. unlinked on the phone: logged out')
  say('all steps passed')
  process.exitCode = 0
} catch (error) {
  say(`failed: ${error.message}`)
  process.exitCode = 1
} finally {
  await rm(folder, { recursive: true, force: true })
  process.exit()
}
