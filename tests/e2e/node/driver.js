// Node: @grpc/grpc-js, which loads the original contract as it runs. See drivers.py.
'use strict';

const { createHash } = require('node:crypto');
const { readFileSync } = require('node:fs');
const path = require('node:path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const DEADLINE_MS = 1000;
const CONTRACT = path.join(__dirname, '..', 'original.proto');
const OPTIONS = { keepCase: true, enums: String, defaults: true };

const { WorkerService } = grpc.loadPackageDefinition(
  loader.loadSync(CONTRACT, OPTIONS)).workerservice;

const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const deadline = () => ({ deadline: Date.now() + DEADLINE_MS });
const idOf = (job) => ({ jobID: Buffer.from(job, 'hex') });

function credentialsOf(folder, identity) {
  const read = (name) => readFileSync(path.join(folder, name));
  if (identity === 'none') return grpc.credentials.createSsl(read('ca.pem'));
  return grpc.credentials.createSsl(
    read('ca.pem'), read(`${identity}.key`), read(`${identity}.pem`));
}

function answered(client, method, request) {
  return new Promise((resolve, reject) => {
    client[method](request, deadline(), (error, answer) => (error ? reject(error) : resolve(answer)));
  });
}

async function* output(client, job, options = {}) {
  for await (const message of client.GetOutput(idOf(job), options)) {
    if (message.output.length) yield message.output;
  }
}

async function watcher(client, job) {
  let size = 0;
  const digest = createHash('sha256');
  for await (const chunk of output(client, job)) {
    if (!size) print({ watching: true });
    size += chunk.length;
    digest.update(chunk);
  }
  return { size, sha256: digest.digest('hex') };
}

const VERBS = {
  async start(client, commandName, ...args) {
    const { jobID } = await answered(client, 'Start', { commandName, arguments: args });
    print({ job: jobID.toString('hex') });
  },

  async query(client, job) {
    const answer = await answered(client, 'QueryStatus', idOf(job));
    const command = [answer.commandName, ...answer.arguments];
    print({ status: answer.JobStatus, exitCode: answer.exitCode, command });
  },

  async stop(client, job) {
    await answered(client, 'Stop', idOf(job));
    print({});
  },

  async stream(client, job, seconds) {
    const options = seconds ? { deadline: Date.now() + 1000 * Number(seconds) } : {};
    for await (const chunk of output(client, job, options)) {
      print({ output: chunk.toString('base64') });
    }
    print({});
  },

  async watch(client, job, count) {
    const watchers = Array.from({ length: Number(count) }, () => watcher(client, job));
    (await Promise.all(watchers)).forEach(print);
  },

  async call(client, method) {
    const asIs = (bytes) => bytes;
    await new Promise((resolve, reject) => {
      client.makeUnaryRequest(method, asIs, asIs, Buffer.alloc(0), deadline(),
        (error) => (error ? reject(error) : resolve()));
    });
    print({});
  },
};

async function main(address, folder, identity, verb, ...args) {
  const client = new WorkerService(address, credentialsOf(folder, identity));
  try {
    await VERBS[verb](client, ...args);
  } catch (error) {
    if (!Number.isInteger(error.code)) throw error;
    print({ code: error.code, details: error.details });
  } finally {
    client.close();
  }
}

main(...process.argv.slice(2));
