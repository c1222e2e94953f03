// How oauth4webapi sends its requests: by somebody's own `fetch`, to URLs that may be called, dated by the one clock.
// Knows no endpoint.
import {
  allowInsecureRequests,
  type Client,
  clockSkew,
  customFetch,
  type IntrospectionRequestOptions,
  type ValidateSignatureOptions,
} from 'oauth4webapi'
import { type Fetch, MAX_BODY_BYTES } from '../http/fetched-documents.js'
import { safeUrl } from '../http/safe-url.js'

/** How requests are sent. */
export interface OAuthTransport {
  readonly [allowInsecureRequests]: boolean
  readonly [customFetch]: NonNullable<IntrospectionRequestOptions[typeof customFetch]> &
    NonNullable<ValidateSignatureOptions[typeof customFetch]>
}

export function oauthTransport(send: Fetch = fetch, dangerouslyAllowHttp = false): OAuthTransport {
  return {
    // Which URLs may be plain http is decided below, for those of the options and for those of the metadata alike.
    [allowInsecureRequests]: true,
    [customFetch]: async (url, { body, signal, ...init }) =>
      bounded(await send(safeUrl(url, dangerouslyAllowHttp), { ...init, body: body ?? null, signal: signal ?? null })),
  }
}

/**
 * This client as oauth4webapi has it, for one question: what it judges or dates now (ID Tokens, signed answers, client
 * assertions) goes by `clock`, and not by the machine's.
 */
export function oauthClient(clientId: string, clock: () => number): Client {
  return { client_id: clientId, [clockSkew]: Math.round(clock() - Date.now() / 1000) }
}

/** The same answer, of which no more is read: whoever reads on meets an error, and the connection is given up. */
function bounded(response: Response): Response {
  if (response.body === null) return response
  let left = MAX_BODY_BYTES
  const counting = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      left -= chunk.byteLength
      if (left < 0) controller.error(new Error('The answer is too large'))
      else controller.enqueue(chunk)
    },
  })
  const { status, statusText, headers } = response
  return new Response(response.body.pipeThrough(counting), { status, statusText, headers })
}
