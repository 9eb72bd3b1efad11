/**
 * The shapes that loomd sends, as protojson and JSON over HTTP. Fields that
 * protojson leaves out when they are zero are optional; 64-bit numbers are
 * strings.
 *
 * @typedef {object} CallSummary
 * @property {string} id
 * @property {string} [at] Microseconds since 1970.
 * @property {string} [path]
 * @property {string} [route]
 * @property {string} [backend]
 * @property {string} [endpoint]
 * @property {string} [peer]
 * @property {string} [kind]
 * @property {string} [state]
 * @property {number} [code]
 * @property {string} [by]
 * @property {string} [reason]
 * @property {string} [took] Microseconds.
 * @property {string} [timeout] Microseconds.
 * @property {string} [up]
 * @property {string} [down]
 * @property {string} [upBytes]
 * @property {string} [downBytes]
 * @property {number} [attempts]
 * @property {string} [replayOf]
 * @property {boolean} [cut]
 * @property {boolean} [drift]
 * @property {string} [trace]
 * @property {string} [revision]
 *
 * @typedef {object} Traffic
 * @property {string} [messages]
 * @property {string} [bytes]
 * @property {string} [unrecorded]
 *
 * @typedef {object} Attempt
 * @property {string} [backend]
 * @property {string} [endpoint]
 * @property {string} [at]
 *
 * @typedef {object} Call
 * @property {string} id
 * @property {string} [state]
 * @property {string} [peer]
 * @property {string} [identity]
 * @property {string} [authority]
 * @property {string} [path]
 * @property {string} [route]
 * @property {string} [backend]
 * @property {string} [endpoint]
 * @property {Attempt[]} [attempts]
 * @property {string} [kind]
 * @property {string} [start]
 * @property {Record<string, string>} [timings]
 * @property {string} [timeout]
 * @property {Traffic} [request]
 * @property {Traffic} [response]
 * @property {{code?: number, message?: string}} [status]
 * @property {string} [endedBy]
 * @property {string} [reason]
 * @property {string} [replayOf]
 * @property {{bodiesOff?: boolean, noRoom?: boolean}} [omission]
 *
 * @typedef {object} Decoded One message, as readable as loomd could make it.
 * @property {string} direction
 * @property {number} seq
 * @property {number} [at] Microseconds since the start of the call.
 * @property {number} [delta]
 * @property {number} [size]
 * @property {number} [decodedSize]
 * @property {string} [encoding]
 * @property {boolean} [compressed]
 * @property {boolean} [truncated]
 * @property {boolean} [redacted]
 * @property {string} [withheld]
 * @property {unknown} [json]
 * @property {boolean} [large]
 * @property {string} [preview]
 * @property {string} [source]
 * @property {string} [type]
 * @property {string} [error]
 * @property {{path: string, number: number, wire?: string}[]} [unknown]
 * @property {string} [hex]
 *
 * @typedef {{name: string, from: number, to: number}} Phase
 * @typedef {{path?: string, Path?: string, kind?: string, Kind?: string, old?: unknown, Old?: unknown, new?: unknown, New?: unknown}} Change
 * @typedef {{name: string, value: string, binary?: boolean, decoded?: string, secret?: boolean, redacted?: boolean}} Field
 *
 * @typedef {object} View
 * @property {string} [verdict]
 * @property {Phase[]} [phases]
 * @property {{messages?: number, first?: Decoded | null}} [request]
 * @property {{messages?: number, first?: Decoded | null}} [response]
 * @property {string} [source]
 * @property {unknown} [statusDetails]
 * @property {unknown[]} [drift]
 * @property {string} [schemaChange]
 * @property {string} [schemaProblem]
 * @property {string} [statusError]
 * @property {{request?: Field[], response?: Field[], trailers?: Field[]}} [metadata]
 * @property {boolean} [replayable]
 * @property {string} [replayProblem]
 * @property {Change[] | null} [diff]
 *
 * @typedef {{call: Call, view: View}} Detail
 *
 * @typedef {object} Session
 * @property {number} generation
 * @property {string} [version]
 * @property {boolean} [readOnly]
 * @property {{name?: string, address: string, tls?: boolean}[]} [listeners]
 * @property {{mode?: string}} [capture]
 * @property {string} [sample]
 * @property {boolean} [replay]
 * @property {string} [title]
 *
 * @typedef {object} Status Sent once a second.
 * @property {number} [rate]
 * @property {number | string} [seen]
 * @property {number | string} [kept]
 * @property {number | string} [open]
 * @property {number | string} [dropped]
 * @property {number | string} [oldest]
 * @property {string} [capture]
 * @property {{hash?: string, error?: string}} [config]
 * @property {number | string} [bytes]
 */

export {};
