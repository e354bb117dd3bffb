/** Bodies that are files: stored as they come, sealed, before anything is decided about them. */
import type { Request } from 'express';
import { HubError } from '../domain/failures';
import { tooLarge } from '../store/repositories/files';
import type { Identity } from './authentication';
import type { Hub } from './hub';
import { idempotencyKeyOf } from './idempotency';
import type { Route, SentFile } from './route';

export interface ReceivedUpload extends SentFile {
  /** What of it makes two requests the same one. */
  readonly content: { readonly hash: string; readonly mediaType: string };
}

/** Receives the file of a route that takes one. 400 without a key, 413, 415; nothing of a refused one stays. */
export async function receiveUpload(
  hub: Hub,
  route: Route,
  request: Request,
  identity: Identity,
): Promise<ReceivedUpload> {
  const { limitBytes, mediaTypes } = route.file ?? { limitBytes: 0, mediaTypes: [] };
  if (identity.kind !== 'account') throw new Error('A file belongs to an account');
  // Told before megabytes are taken in.
  idempotencyKeyOf(request.get('idempotency-key'), route.moves);
  const mediaType = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
  if (!mediaTypes.includes(mediaType))
    throw new HubError('unsupported_media_type', `Send the file itself, with Content-Type: ${mediaTypes.join(' or ')}`);
  if ((request.headers['content-encoding'] ?? 'identity') !== 'identity')
    throw new HubError('unsupported_media_type', 'Send the file without a Content-Encoding');
  if (Number(request.headers['content-length'] ?? 0) > limitBytes) throw tooLarge(limitBytes);
  // The connection stays, so that a refusal in the middle can be answered.
  const pieces = request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
  const { id, bytes, hash } = await hub.store.files.receive(identity.caller.account, pieces, limitBytes);
  return { id, bytes, mediaType, content: { hash, mediaType } };
}

/** The request is over: a file that nothing took over goes. */
export async function dropUnclaimed(hub: Hub, file: ReceivedUpload): Promise<void> {
  await hub.store.files.dropUnclaimed(file.id).catch((error: unknown) => {
    hub.logger.warn('A file is left to the sweep', { error });
  });
}
