/** What the hub's processes are compared with: the same server, the least a workflow can do. */
import { proxyActivities } from '@temporalio/workflow';

const { nothing, writeOne } = proxyActivities<{
  nothing(): Promise<void>;
  writeOne(input: { store: string; key: string; itemId: string; modelId: string; quantity: number }): Promise<void>;
}>({ startToCloseTimeout: '30 seconds' });

/** An empty workflow with one activity. */
export async function oneActivity(): Promise<void> {
  await nothing();
}

/** One workflow per listing write: one platform call with one entry. */
export async function oneWrite(input: {
  store: string;
  key: string;
  itemId: string;
  modelId: string;
  quantity: number;
}): Promise<void> {
  await writeOne(input);
}
