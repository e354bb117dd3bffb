/** Repeats the check until it holds; rejects with its last failure when the time is up. */
export async function eventually(check: () => void | Promise<void>, limitMs = 120_000): Promise<void> {
  const deadline = Date.now() + limitMs;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
    await new Promise((done) => setTimeout(done, 50));
  }
}
