/** A service as the command line runs it, in a process of its own so that tests can send it signals. */
import { loadConfig } from '../../src/config.ts';
import { closeOnSignal, serve } from '../../src/server/listen.ts';

const service = await serve(loadConfig().config);
process.send?.({ url: service.url });
const isClean = await closeOnSignal(service);
process.exitCode = isClean ? 0 : 75;
process.disconnect();
