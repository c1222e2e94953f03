// One careful GET of a provider's document: no redirects, only 200, a bounded body. Knows no metadata and no keys.

/** Metadata and JWK Sets are a few kilobytes; what is larger by this much is a mistake or an attack. */
const MAX_BODY_BYTES = 1_048_576

/** What an OP is asked with, beside the URL. */
export interface DocumentRequest {
  readonly headers: Readonly<Record<string, string>>
  readonly signal: AbortSignal
}

/**
 * Fetches a JSON document and hands back its response with the whole body read. Rejects for every other status than 200, for
 * a redirect (which could lead inside the network that this process sees), and for a body over 1 MiB, decompressed.
 */
export async function fetchDocument(url: string, { headers, signal }: DocumentRequest): Promise<Response> {
  const response = await fetch(url, { headers, redirect: 'manual', signal })
  if (response.status !== 200) {
    await response.body?.cancel()
    throw new Error(`The provider answered with status ${response.status}`)
  }
  return new Response(await boundedBody(response), {
    headers: { 'Content-Type': response.headers.get('Content-Type') ?? '' },
  })
}

async function boundedBody(response: Response): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of response.body ?? []) {
    length += chunk.byteLength
    // Leaving the loop cancels the body and with it the connection.
    if (length > MAX_BODY_BYTES) throw new Error('The document of the provider is too large')
    chunks.push(chunk)
  }
  return new Uint8Array(Buffer.concat(chunks))
}
