// The plugin in front of a route of Fastify: what it blocks never reaches the handler.
// node fastify-gate.mjs camera.stopline
import Fastify from 'fastify';
import stopline from 'stopline/fastify';

const [profile, port = '3000'] = process.argv.slice(2);
const app = Fastify();

await app.register(stopline, {
  profile,
  mode: 'enforce',
  onError: 'closed',
  routes: [{ path: '/classify', protocol: 'image' }],
});

app.post('/classify', async (request) => ({ label: 'a car', bytes: request.body.length }));

console.log(await app.listen({ host: '127.0.0.1', port: Number(port) }));
process.once('SIGTERM', () => app.close());
