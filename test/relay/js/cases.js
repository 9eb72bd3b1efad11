// Calls loom.test.Peer through loomd with grpc-js and prints one JSON line for
// each case: {"case": NAME} or {"case": NAME, "error": WHAT WAS WRONG}.
// Usage: node cases.js TARGET
'use strict';

const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const grpc = require('@grpc/grpc-js');

const asIs = (bytes) => bytes;
const method = (name, requestStream, responseStream) => ({
  path: `/loom.test.Peer/${name}`,
  requestStream,
  responseStream,
  requestSerialize: asIs,
  requestDeserialize: asIs,
  responseSerialize: asIs,
  responseDeserialize: asIs,
});
const Peer = grpc.makeGenericClientConstructor({
  Echo: method('Echo', false, false),
  Count: method('Count', false, true),
  Collect: method('Collect', true, false),
  Chat: method('Chat', true, true),
  Fail: method('Fail', false, false),
  FailLate: method('FailLate', false, true),
  Metadata: method('Metadata', false, false),
  Gzip: method('Gzip', false, false),
  Sleep: method('Sleep', false, true),
  Ended: method('Ended', false, false),
  Missing: method('Missing', false, false),
}, 'loom.test.Peer');

const target = process.argv[2];
const options = { 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 };
const plain = new Peer(target, grpc.credentials.createInsecure(), options);

// unary makes a call and returns everything that it got.
function unary(name, request, { client = plain, metadata = new grpc.Metadata() } = {}) {
  return new Promise((resolve) => {
    const got = {};
    const call = client[name](request, metadata, { deadline: Date.now() + 30000 }, (error, reply) => {
      got.error = error;
      got.reply = reply;
    });
    call.on('metadata', (header) => { got.header = header; });
    call.on('status', (status) => {
      got.status = status;
      resolve(got);
    });
  });
}

// drain reads a stream to its end.
function drain(call) {
  return new Promise((resolve) => {
    const got = { messages: [] };
    call.on('data', (message) => got.messages.push(message.toString()));
    call.on('metadata', (header) => { got.header = header; });
    call.on('error', (error) => { got.error = error; });
    call.on('status', (status) => {
      got.status = status;
      resolve(got);
    });
  });
}

const upTo = (many) => Array.from({ length: many }, (_, i) => String(i));

function assertDetails(status) {
  assert.equal(status.code, grpc.status.FAILED_PRECONDITION);
  assert.equal(status.details, 'Lager leer: 100 % – später\n');
  const [details] = status.metadata.get('grpc-status-details-bin');
  assert.ok(details.length > 50, 'the details are missing or short');
  assert.deepEqual(status.metadata.get('x-details-hex'), [details.toString('hex')]);
}

async function assertEnded(id, ...ways) {
  const { status, reply } = await unary('Ended', Buffer.from(id));
  assert.equal(status.code, grpc.status.OK, status.details);
  assert.ok(ways.includes(reply.toString()), `the server saw the call end with ${reply}`);
}

const cases = {
  async unary() {
    const { status, reply } = await unary('Echo', Buffer.from('hello'));
    assert.equal(status.code, grpc.status.OK, status.details);
    assert.equal(reply.toString(), 'hello');
  },

  async empty_message() {
    const { status, reply } = await unary('Echo', Buffer.alloc(0));
    assert.equal(status.code, grpc.status.OK, status.details);
    assert.equal(reply.length, 0);
  },

  async server_stream() {
    const { status, messages } = await drain(plain.Count(Buffer.from('1000')));
    assert.equal(status.code, grpc.status.OK, status.details);
    assert.deepEqual(messages, upTo(1000));
  },

  async client_stream() {
    const reply = await new Promise((resolve, reject) => {
      const call = plain.Collect((error, answer) => (error ? reject(error) : resolve(answer)));
      for (const text of upTo(1000)) call.write(Buffer.from(text));
      call.end();
    });
    // The CRC-32 of "0" to "999" in a row.
    assert.equal(reply.toString(), '1000 1de017e7');
  },

  async bidi() {
    // Ping-pong: each message is sent only when the one before came back.
    const call = plain.Chat();
    const received = [];
    call.on('data', (message) => {
      received.push(message.toString());
      if (received.length < 100) call.write(Buffer.from(String(received.length)));
      else call.end();
    });
    const ended = drain(call);
    call.write(Buffer.from('0'));
    const { status } = await ended;
    assert.equal(status.code, grpc.status.OK, status.details);
    assert.deepEqual(received, upTo(100));
  },

  async error_details() {
    const { status, header } = await unary('Fail', Buffer.from('x'));
    assertDetails(status);
    assert.equal(header, undefined, 'a trailers-only answer has no headers of its own');
  },

  async error_after_messages() {
    const { status, messages } = await drain(plain.FailLate(Buffer.from('x')));
    assertDetails(status);
    assert.deepEqual(messages, ['0', '1']);
  },

  async unimplemented() {
    const { status } = await unary('Missing', Buffer.from('x'));
    assert.equal(status.code, grpc.status.UNIMPLEMENTED);
  },

  async deadline() {
    const id = crypto.randomUUID();
    const started = Date.now();
    const { status, header } = await drain(plain.Sleep(Buffer.from(id), { deadline: started + 400 }));
    const took = Date.now() - started;
    assert.equal(status.code, grpc.status.DEADLINE_EXCEEDED);
    assert.ok(took >= 350 && took < 5000, `the call took ${took} ms of 400`);
    assert.deepEqual(header.get('x-deadline'), ['true']);
    await assertEnded(id, 'context deadline exceeded', 'context canceled');
  },

  async cancel() {
    const id = crypto.randomUUID();
    const call = plain.Sleep(Buffer.from(id));
    call.on('metadata', () => call.cancel());
    const { status } = await drain(call);
    assert.equal(status.code, grpc.status.CANCELLED);
    await assertEnded(id, 'context canceled');
  },

  async metadata() {
    const every = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    const sent = new grpc.Metadata();
    sent.add('x-one', 'first');
    sent.add('x-one', 'second');
    sent.add('x-text', 'a, b; c="d"');
    sent.add('x-raw-bin', every);
    sent.add('x-raw-bin', Buffer.from([0]));
    const { status, header } = await unary('Metadata', Buffer.from('x'), { metadata: sent });
    assert.equal(status.code, grpc.status.OK, status.details);
    for (const [got, prefix] of [[header, 'x-'], [status.metadata, 't-']]) {
      assert.deepEqual(got.get(`${prefix}one`).join(', '), 'first, second');
      assert.deepEqual(got.get(`${prefix}text`), ['a, b; c="d"']);
      assert.deepEqual(got.get(`${prefix}raw-bin`), [every, Buffer.from([0])]);
    }
  },

  async large_message() {
    const sent = crypto.randomBytes(10 << 20);
    const { status, reply } = await unary('Echo', sent);
    assert.equal(status.code, grpc.status.OK, status.details);
    assert.ok(sent.equals(reply), 'the reply differs from the request');
  },

  async gzip() {
    const client = new Peer(target, grpc.credentials.createInsecure(), { ...options, 'grpc.default_compression_algorithm': 2 });
    const sent = Buffer.alloc(1 << 20, 'loom ');
    const { status, header, reply } = await unary('Gzip', sent, { client });
    client.close();
    assert.equal(status.code, grpc.status.OK, status.details);
    assert.deepEqual(header.get('x-request-encoding'), ['gzip']);
    assert.ok(Number(header.get('x-request-length')[0]) < 100000, 'the request came uncompressed');
    assert.ok(sent.equals(reply), 'the reply differs from the request');
  },

  async concurrent() {
    const replies = await Promise.all(upTo(500).map((text) => unary('Echo', Buffer.from(text))));
    replies.forEach(({ status, reply }, i) => {
      assert.equal(status.code, grpc.status.OK, status.details);
      assert.equal(reply.toString(), String(i));
    });
  },
};

(async () => {
  for (const [name, run] of Object.entries(cases)) {
    try {
      await run();
      console.log(JSON.stringify({ case: name }));
    } catch (error) {
      console.log(JSON.stringify({ case: name, error: error.stack }));
    }
  }
  plain.close();
})();
