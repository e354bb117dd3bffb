/** What a recall costs, by the row of the contract's table that it takes: in the server's own counts, and in database commands. */
import { newId } from '../domain/ids';
import { mirrorLaneId, orderRecallId } from '../domain/process-ids';
import { eventually, startHub } from '../test/support/hub';
import { makeDistributor, makeOrder, makeSupplier } from '../test/support/scenario';
import { figure, inParallel, median, type Section, seconds } from './report';

const ROUNDS = 3;
const PER_ROUND = 60;
const CLIENTS = 10;
const LONG_MS = 60_000;

/** Recalls of new supply orders (one transaction) and of packed ones (a workflow that waits for the supplier). */
export async function recalls(): Promise<Section> {
  const hub = await startHub({ pacingMs: 500, monitorCommands: true });
  try {
    const supplier = await makeSupplier(hub, { onHand: 1_000_000, price: 10 });
    const { id: account, partnership } = await makeDistributor(hub, supplier);

    async function pushed(): Promise<{ pkg: string; supplyOrder: string }> {
      const pkg = await makeOrder(hub, account, [{ sku: 'TEE-1', quantity: 1 }]);
      await hub.store.orders.beginPush(account, pkg);
      const outcome = await hub.store.orders.push(pkg, 1, supplier.id);
      if (outcome.outcome !== 'pushed') throw new Error(`a bench push is ${outcome.outcome}`);
      return { pkg, supplyOrder: outcome.supplyOrder };
    }
    const recall = (pkg: string) => hub.store.orders.recall(account, pkg, newId('command'), LONG_MS);
    async function ask(pkg: string): Promise<void> {
      const { attempt } = await recall(pkg);
      await hub.processes.startOrderRecall({ account, package: pkg, attempt });
    }
    const confirm = (pkg: string) =>
      hub.processes.answerRecall({
        ...{ account, package: pkg, attempt: 1, answer: 'confirm' },
        ...{ command: newId('command'), reason: null },
      });

    /** The commands to the database while `work` runs, with nothing else under way. */
    async function commandsOf(work: () => Promise<unknown>): Promise<string> {
      await hub.processes.wakeLanesNow([mirrorLaneId(partnership)]);
      await eventually(async () => {
        if ((await hub.store.database.models.dues.countDocuments()) > 0) throw new Error('lanes are at work');
      });
      const names: string[] = [];
      const listen = ({ commandName }: { commandName: string }) => names.push(commandName);
      const client = hub.store.database.connection.getClient();
      client.on('commandStarted', listen);
      try {
        await work();
      } finally {
        client.off('commandStarted', listen);
      }
      const reads = names.filter((name) => ['find', 'aggregate', 'count'].includes(name)).length;
      return `${names.length} (${reads} reads)`;
    }

    const rates: number[] = [];
    for (let round = 0; round <= ROUNDS; round += 1) {
      const made: { pkg: string }[] = [];
      await inParallel([...Array(PER_ROUND).keys()], 4, async () => void made.push(await pushed()));
      const took = await seconds(() => inParallel(made, CLIENTS, ({ pkg }) => recall(pkg)));
      if (round > 0) rates.push(PER_ROUND / took);
    }
    const ofNew = await pushed();
    const newCommands = await commandsOf(() => recall(ofNew.pkg));
    const packed = await pushed();
    const pack = await hub.store.orders.moveSupplyOrder(supplier.id, packed.supplyOrder, 'pack', {
      command: newId('command'),
    });
    if (pack.supplyOrder.status !== 'packed') throw new Error('it is not packed');
    const askCommands = await commandsOf(() => recall(packed.pkg));
    await ask(packed.pkg);
    const handle = hub.client.workflow.getHandle(orderRecallId(packed.pkg, 1));
    await eventually(async () => {
      const { events } = await handle.fetchHistory();
      if (!events?.some((event) => event.timerStartedEventAttributes)) throw new Error('it does not wait yet');
    });
    const answerCommands = await commandsOf(() => confirm(packed.pkg));
    await handle.result();
    const events = (await handle.fetchHistory()).events ?? [];
    const tasks = events.filter((event) => event.workflowTaskCompletedEventAttributes != null).length;
    return {
      title: 'Recall',
      how: `${ROUNDS} rounds of ${PER_ROUND} recalls of new supply orders of one supplier, ${CLIENTS} clients; the counts are of one recall each.`,
      note: 'What the table settles at once is one transaction, run where it is asked for, without a workflow. Of what is packed the supplier is asked: a workflow waits for the answer. Commands of a transaction include its commit.',
      rows: [
        { what: 'recalls of new supply orders per second, one supplier', value: figure(median(rates)) },
        { what: 'new: workflow tasks, history events', value: '0, 0' },
        { what: 'new: database commands', value: newCommands },
        { what: 'packed: workflow tasks', value: String(tasks) },
        { what: 'packed: history events', value: String(events.length) },
        { what: 'packed: database commands of the asking', value: askCommands },
        { what: 'packed: database commands of the supplier’s answer', value: answerCommands },
      ],
    };
  } finally {
    await hub.stop();
  }
}
