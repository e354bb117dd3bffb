/**
 * Loaded into each part that `npm start` runs: when the supervisor is gone without having ended it (killed), the part
 * ends as if it had been told to.
 */
const FORCE_AFTER_MS = 20_000;

if (process.channel) {
  process.on('disconnect', () => {
    process.kill(process.pid, 'SIGTERM');
    setTimeout(() => process.exit(1), FORCE_AFTER_MS).unref();
  });
  process.channel.unref();
}
