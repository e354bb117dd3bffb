/**
 * Time-outs of activities, each with its unit and its reason. Plain numbers of milliseconds: workflows import them, so
 * nothing here may read the environment.
 */

/** One of our own short writes, run inside the workflow's task: a transaction takes milliseconds, a busy hot document a second or two. */
export const LOCAL_WRITE_MS = 8_000;
/** Retries inside the task; past them the step goes on as an ordinary activity, whose waits don't hold the task. */
export const LOCAL_WRITE_TRIES = 2;
export const LOCAL_RETRY_MS = 50;

/** The same write as an ordinary activity: longer, because it runs when the database has trouble. */
export const STORE_WRITE_MS = 20_000;
/** The longest wait between tries of a write that must happen in the end. */
export const STORE_LONGEST_WAIT_MS = 30_000;

/** One step that calls a platform: more than all of the HTTP client's tries together (a test holds that). */
export const PLATFORM_STEP_MS = 60_000;
/** One pass of a store's lane: it sends batches for at most half of this and reports after each. */
export const LANE_PASS_MS = 60_000;
/** One look of a Push Now at how far its lanes are, or one round of marking. */
export const PUSH_WATCH_MS = 10_000;
/** Until the next look, at first and where nothing moved for long (a lane is parked). */
export const PUSH_LOOK_MS = 100;
export const PUSH_LOOK_LONGEST_MS = 60_000;
/** A long step reports at least this often, or is taken as dead and run elsewhere. */
export const HEARTBEAT_MS = 20_000;
/** A download of all listings of a store. */
export const DOWNLOAD_MS = 3_600_000;
/** How often a recall looks whether the push that it ends took its outbound order back, should nobody tell it. */
export const RECALL_LOOK_MS = 600_000;
/** How often a cancellation looks at the recalls it waits for, should nobody tell it that they ended. */
export const CANCELLATION_LOOK_MS = 600_000;
/** One poll of a store's orders; one that catches up on a long time writes down how far it is and is tried again. */
export const POLL_MS = 600_000;
/** Reading an import's file, a million rows at most; a dry run of as many. */
export const IMPORT_STEP_MS = 3_600_000;
/** An import reports this often at least: it holds nothing that two could do at once, so a dead one is soon replaced. */
export const IMPORT_HEARTBEAT_MS = 10_000;
/** A push may come before the platform's own order details: until this long after it, an unknown order is asked for again. */
export const ORDER_REFUSED_AFTER_MS = 3_600_000;
/** What an activity that sends a notification needs besides the sending itself: two reads and a write. */
export const DELIVERY_MARGIN_MS = 10_000;
/**
 * What was about to be done this long ago and has no audit row is taken as left by a process that died: longer than any
 * request lives.
 */
export const AUDIT_UNKNOWN_AFTER_MS = 600_000;
/** How often a shipment that waits for the rest of its order is looked at, should nobody have told of that. */
export const SHIPMENT_LOOK_MS = 600_000;
/** See `SHIPMENT_WAIT_MS` in .env.example. */
export const SHIPMENT_WAIT_MS = 43_200_000;
/**
 * A message to a process whose worker died waits so long for that worker before another one takes it. Less than an update may
 * take; a worker that lives but is busier than that only reads a history again.
 */
export const DEAD_WORKER_MS = 3_000;
/** One pass of the sweep. */
export const SWEEP_MS = 120_000;
/** How long a lane stays after its last batch, so that the next change is a signal and no new workflow. */
export const LANE_LINGER_MS = 10_000;
/** A live exchange rate is fetched again when it is older; providers renew theirs daily to hourly. */
export const RATES_RENEW_AFTER_MS = 3_600_000;
