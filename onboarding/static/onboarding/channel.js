// News from the server: a WebSocket, and polling for as long as there is none.

const POLL_MS = 1000;
const SLOW_POLL_MS = 3000; // after the page has said that nothing comes
const QUIET_POLLS = 30;
const PATIENCE_MS = 1500; // for the first picture over a new WebSocket
// The server takes five connections a minute from one address, and a reload needs one, too.
const RECONNECT_MS = [2000, 4000, 8000, 16000, 30000];
const TOO_MANY_PAUSE_MS = 60000;

export const CLOSED = { badToken: 4401, foreignOrigin: 4403, tooMany: 4429 };

export class Channel {
  // `onLine` hears one of: live, polling, silent, unreachable, foreign, tooMany, expired.
  constructor({ token, language, sessionId, onPicture, onProblem, onLine }) {
    Object.assign(this, { token, language, sessionId, onPicture, onProblem, onLine });
    this.socket = null;
    this.failures = 0;
    this.quietPolls = 0;
    this.seen = "";
    this.pollTimer = null;
    this.reconnectTimer = null;
    this.ended = false;
  }

  start() {
    this.connect();
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && this.pollTimer) this.poll();
    });
    window.addEventListener("online", () => this.retry());
  }

  connect() {
    clearTimeout(this.reconnectTimer);
    if (this.ended || this.socket) return;
    const address = new URL("/ws/marketplace/", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    address.searchParams.set("lang", this.language);
    const socket = new WebSocket(address, ["marketplace.v1", `jwt.${this.token}`]);
    this.socket = socket;
    const patience = setTimeout(() => this.startPolling(), PATIENCE_MS);
    socket.onmessage = (message) => {
      clearTimeout(patience);
      this.failures = 0;
      this.stopPolling();
      this.onLine("live");
      this.handleMessage(JSON.parse(message.data));
    };
    socket.onclose = (event) => {
      clearTimeout(patience);
      this.socket = null;
      this.closed(event.code);
    };
  }

  handleMessage(message) {
    if (message.event === "status") this.onPicture(message);
    if (message.event === "error" || message.event === "pairing-code-error") this.onProblem(message);
  }

  closed(code) {
    if (this.ended) return;
    if (code === CLOSED.badToken) {
      this.end();
      return;
    }
    this.startPolling();
    if (code === CLOSED.foreignOrigin) {
      this.onLine("foreign");
      return;
    }
    const pause = RECONNECT_MS[Math.min(this.failures, RECONNECT_MS.length - 1)] * (1 + Math.random() / 4);
    this.failures += 1;
    this.onLine(code === CLOSED.tooMany ? "tooMany" : "polling");
    const wait = code === CLOSED.tooMany ? TOO_MANY_PAUSE_MS : pause;
    this.reconnectTimer = setTimeout(() => this.connect(), wait);
  }

  end() {
    this.ended = true;
    this.stopPolling();
    clearTimeout(this.reconnectTimer);
    this.onLine("expired");
  }

  // The state as it is now, without asking for codes.
  async readSnapshot() {
    const answer = await this.call("GET", `/marketplace/api/status/${this.sessionId}?viewed=0`);
    return answer.ok ? answer.body : null;
  }

  retry() {
    this.quietPolls = 0;
    this.connect();
    if (this.pollTimer) this.poll();
  }

  startPolling() {
    if (this.pollTimer || this.ended) return;
    this.quietPolls = 0;
    this.pollTimer = setTimeout(() => this.poll(), 0);
  }

  stopPolling() {
    clearTimeout(this.pollTimer);
    this.pollTimer = null;
  }

  async poll() {
    clearTimeout(this.pollTimer);
    const answer = await this.call("GET", `/marketplace/api/status/${this.sessionId}`);
    if (this.ended || !this.pollTimer) return; // the WebSocket came up meanwhile
    if (answer.ok) this.countQuiet(answer.body);
    if (answer.ok) this.onPicture(answer.body);
    if (answer.status === 0) this.onLine("unreachable");
    clearTimeout(this.pollTimer);
    this.pollTimer = setTimeout(() => this.poll(), this.quietPolls < QUIET_POLLS ? POLL_MS : SLOW_POLL_MS);
  }

  countQuiet(picture) {
    const { qrExpiresIn, pairingCodeExpiresIn, paymentUrl, ...lasting } = picture;
    const seen = JSON.stringify(lasting);
    this.quietPolls = seen === this.seen ? this.quietPolls + 1 : 0;
    this.seen = seen;
    this.onLine(this.quietPolls < QUIET_POLLS ? "polling" : "silent");
  }

  async requestQr() {
    if (this.send({ event: "request-qr" })) return;
    await this.ask("/marketplace/api/qr", { renew: true }, "error");
  }

  async requestPairingCode(phoneNumber) {
    if (this.send({ event: "request-pairing-code", phoneNumber })) return;
    await this.ask("/marketplace/api/pairing-code", { phoneNumber }, "pairing-code-error");
  }

  async activate() {
    await this.ask("/marketplace/activate", { token: this.token }, "activation-error");
  }

  send(message) {
    if (!this.socket || this.socket.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  async ask(address, body, event) {
    const answer = await this.call("POST", address, body);
    if (!answer.ok) this.onProblem({ event, code: answer.body.code, message: answer.body.error });
    if (this.pollTimer) this.poll();
  }

  // Never throws: `status` 0 means that no answer came.
  async call(method, address, body) {
    const headers = { Authorization: `Bearer ${this.token}`, "Accept-Language": this.language };
    if (body) headers["Content-Type"] = "application/json";
    try {
      const response = await fetch(address, {
        method, headers, body: body && JSON.stringify(body), cache: "no-store", credentials: "omit",
      });
      const parsed = await response.json();
      if (response.status === 401) this.end();
      return { ok: response.ok, status: response.status, body: parsed };
    } catch (error) {
      return { ok: false, status: 0, body: { code: "unreachable", error: "" } };
    }
  }
}
