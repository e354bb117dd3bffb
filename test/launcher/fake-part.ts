/** A part for the tests of the supervisor: says ready, and does what FAKE_PART tells it. */
import { writeFileSync } from 'node:fs';

const { FAKE_PART: what, FAKE_PART_MARK: mark = '' } = process.env;

if (what === 'broken') {
  console.error('ADMIN_KEY is required');
  process.exit(1);
}
process.on('SIGTERM', () => {
  if (what === 'stubborn') return;
  writeFileSync(`${mark}.ended`, String(process.pid));
  process.exit(0);
});
setInterval(() => {}, 60_000);
process.send?.('ready');
