/** Steps with progress; see steps.cjs. */
export interface Steps {
  /** Runs one step; `say` tells its progress. Rejects with what the work rejects with. */
  step<T>(title: string, work: (say: (progress: string) => void) => Promise<T>): Promise<T>;
  /** One line of its own. */
  note(text: string): void;
}
export function createSteps(stream?: NodeJS.WriteStream): Steps;
export const silentSteps: Steps;
