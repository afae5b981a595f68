// Says which Node runs what is installed here. Plain JavaScript: every Node reads it.
const npmRunsOn = /node\/v(\d+\.\d+\.\d+)/.exec(process.env.npm_config_user_agent ?? '')?.[1];
const [major, minor] = (npmRunsOn ?? '24.0').split('.').map(Number);
if (major < 22 || (major === 22 && minor < 14)) {
  const text = `npm runs on Node ${npmRunsOn}, which is too old for Stopline: its scripts run on the Node ${process.versions.node} that was installed with it.`;
  process.stderr.write(`${text}\n`);
}
