import { get as getPlain } from 'node:http';
import { get as getSecure } from 'node:https';
import { loadConfig } from '../config.ts';
import { ownPrefix } from './http/prefix.ts';

/** For the HEALTHCHECK of a container: ends with 0 where the service that the environment describes lives, else with 1. */

const timeoutMs = 2500;
const { config } = loadConfig({});
const { host, port, tlsCert } = config;
const isAny = host === '0.0.0.0' || host === '::';
const options = {
  host: isAny ? '127.0.0.1' : host,
  port,
  path: `${ownPrefix(config)}/health/live`,
  timeout: timeoutMs,
  // The certificate is for the names that clients know, and this request stays in the container.
  rejectUnauthorized: false,
};
const fail = () => process.exit(1);
const get = tlsCert === undefined ? getPlain : getSecure;
get(options, ({ statusCode }) => process.exit(statusCode === 200 ? 0 : 1))
  .on('error', fail)
  .on('timeout', fail);
