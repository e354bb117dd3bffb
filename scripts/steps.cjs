/**
 * Steps with progress, for people who watch a start: one line a step. On a terminal the line is alive; elsewhere a step
 * says when it begins, how it goes (at most every five seconds) and when it is done.
 * Plain JavaScript, as the launcher uses it before anything is installed.
 */
const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

function seconds(sinceMs) {
  return `${((Date.now() - sinceMs) / 1000).toFixed(1)} s`;
}

/** Steps that are written to the given stream (standard output where none is given). */
function createSteps(stream = process.stdout) {
  const alive = Boolean(stream.isTTY) && process.env.CI === undefined;

  /** Runs one step; `say` tells its progress. Steps are for one after the other, not side by side. */
  async function step(title, work) {
    const startedAt = Date.now();
    let detail = '';
    let lastSaidAt = startedAt;
    let frame = 0;
    const draw = () => {
      const text = `${FRAMES[frame++ % FRAMES.length]} ${title} ${detail}`;
      stream.write(`\r\x1b[2K${text.slice(0, Math.max(20, (stream.columns ?? 80) - 1))}`);
    };
    const timer = alive ? setInterval(draw, 120) : undefined;
    const finish = (mark, outcome) =>
      stream.write(
        `${alive ? '\r\x1b[2K' : ''}${mark} ${title}${outcome ? ` – ${outcome}` : ''} (${seconds(startedAt)})\n`,
      );
    if (!alive) stream.write(`… ${title}\n`);
    const say = (text) => {
      detail = text;
      if (alive || Date.now() - lastSaidAt < 5000) return;
      lastSaidAt = Date.now();
      stream.write(`  ${title}: ${text}\n`);
    };
    try {
      const result = await work(say);
      finish('✔', detail);
      return result;
    } catch (error) {
      finish('✘', 'failed');
      throw error;
    } finally {
      clearInterval(timer);
    }
  }

  return { step, note: (text) => stream.write(`${text}\n`) };
}

/** Steps that nobody watches. */
const silentSteps = { step: (_title, work) => work(() => {}), note: () => {} };

module.exports = { createSteps, silentSteps };
