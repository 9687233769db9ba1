/**
 * The protocol, version 1: what each side says over the WebSocket. See docs/protocol.md for how it is meant.
 * What begins with Batch is MessagePack, at `/v1/batch`.
 *
 * Generated: python -m worldloom.streamer.typescript client/js/protocol.d.ts
 */

export type ErrorCode =
  | "bad_action"
  | "bad_image"
  | "bad_message"
  | "bad_offer"
  | "busy"
  | "draining"
  | "engine_lost"
  | "forbidden"
  | "hello_expected"
  | "image_too_large"
  | "internal_error"
  | "message_too_large"
  | "model_fault"
  | "out_of_reach"
  | "rate_limited"
  | "recording_failed"
  | "recording_full"
  | "recording_off"
  | "session_closed"
  | "taken_over"
  | "time_limit"
  | "too_many_pixels"
  | "unauthorized"
  | "unknown_image"
  | "unknown_key"
  | "unknown_prompt"
  | "unknown_session"
  | "unknown_snapshot"
  | "unknown_world"
  | "unsupported"
  | "version_mismatch";

export type ClientMessage =
  | HelloMessage
  | ViewMessage
  | OfferMessage
  | CandidateMessage
  | KeyMessage
  | LookMessage
  | AxesMessage
  | ActionMessage
  | PromptMessage
  | SayMessage
  | ResetMessage
  | PauseMessage
  | ResumeMessage
  | ShiftMessage
  | StepMessage
  | RewindMessage
  | SnapshotMessage
  | RestoreMessage
  | ForkMessage
  | RecordMessage
  | ReportMessage
  | PingMessage
  | ByeMessage;

export type ServerMessage =
  | WaitingMessage
  | WelcomeMessage
  | NoticeMessage
  | AnswerMessage
  | CandidateMessage
  | ReceiptMessage
  | FrameMessage
  | StatsMessage
  | PongMessage
  | ErrorMessage
  | ByeMessage;

export type BatchRequest =
  | BatchHello
  | BatchStart
  | BatchStep
  | BatchSave
  | BatchBye;

export type BatchAnswer =
  | BatchWelcome
  | BatchStarted
  | BatchStepped
  | BatchSaved
  | BatchRefused;

/** The first message: what the client wants. */
export interface HelloMessage {
  type: "hello";
  /** version that the client speaks: 1; integer, 0 to 2^53-1 */
  protocol: number;
  /** a world's name; the server's first one when absent; text, 1 to 64 characters */
  world?: string;
  /** the server draws one when absent; integer, 0 to 2^53-1 */
  seed?: number;
  /** a text to start from, where the world takes one; text, 0 to 2048 characters */
  prompt?: string;
  /** id of an uploaded picture to start from, where it takes one; text, 1 to 64 characters */
  image?: string;
  /** how pictures travel; "webrtc" when absent */
  video?: "webrtc" | "websocket" | "none";
  /** paced by the clock, or one chunk for each `step`; "realtime" when absent */
  mode?: "realtime" | "lockstep";
  /** of pictures over the WebSocket; "jpeg" when absent */
  format?: "raw" | "jpeg" | "h264" | "vp8";
  /** pictures do not depend, to the bit, on who else is served; boolean; false when absent */
  deterministic?: boolean;
  /** when every place is taken: wait for one instead of `busy`; boolean; false when absent */
  wait?: boolean;
  /** signed by the server; needed where it serves strangers; text, 8 to 1024 characters */
  token?: string;
  /** from an earlier `welcome`, or a lease: go on with that session, and take it over; text, 8 to 1024 characters */
  resume?: string;
  /** from a driver's `welcome`: see that session, without control; text, 8 to 1024 characters */
  watch?: string;
}

/** Change how pictures travel; the world does not notice. An `offer` may come before or after. */
export interface ViewMessage {
  type: "view";
  video: "webrtc" | "websocket" | "none";
  /** of pictures over the WebSocket; "jpeg" when absent */
  format?: "raw" | "jpeg" | "h264" | "vp8";
}

/** WebRTC: the client's session description, with one video line that receives. A later one replaces it. */
export interface OfferMessage {
  type: "offer";
  /** a session description; text, 1 to 65536 characters */
  sdp: string;
}

/** WebRTC, both ways: one ICE candidate; an empty one ends the list. */
export interface CandidateMessage {
  type: "candidate";
  /** text, 0 to 1024 characters */
  candidate: string;
  /** text, 0 to 64 characters */
  sdp_mid?: string;
  /** integer, 0 to 65535 */
  sdp_mline_index?: number;
}

/** A key went down or up. */
export interface KeyMessage {
  type: "key";
  /** chosen by the client; the receipt names it; integer, 1 to 2^53-1 */
  seq: number;
  /** W3C KeyboardEvent.code; text, 1 to 32 characters */
  code: string;
  /** boolean */
  down: boolean;
}

/** The view turned by this much since the last `look`; amounts are summed and spent once. */
export interface LookMessage {
  type: "look";
  /** chosen by the client; the receipt names it; integer, 1 to 2^53-1 */
  seq: number;
  /** degrees, right +; number, -3600 to 3600; 0.0 when absent */
  yaw?: number;
  /** degrees, up +; number, -3600 to 3600; 0.0 when absent */
  pitch?: number;
}

/** New values for some axes: a level is held until changed, an amount is spent once. */
export interface AxesMessage {
  type: "axes";
  /** chosen by the client; the receipt names it; integer, 1 to 2^53-1 */
  seq: number;
  /** by axis name, in its unit; object of at most 256: number, -1e9 to 1e9 */
  values: { [name: string]: number };
}

/** A whole action row, columns as in `welcome`: levels are held, amounts are spent once. */
export interface ActionMessage {
  type: "action";
  /** chosen by the client; the receipt names it; integer, 1 to 2^53-1 */
  seq: number;
  /** list of 1 to 256: number, -1e9 to 1e9 */
  values: number[];
}

/** Start the world anew from a text; the frame index goes on. */
export interface PromptMessage {
  type: "prompt";
  /** chosen by the client; the receipt names it; integer, 1 to 2^53-1 */
  seq: number;
  /** text, 0 to 2048 characters */
  text: string;
}

/** Go on from here under another text. A later one supersedes one that was not taken up yet. */
export interface SayMessage {
  type: "say";
  /** chosen by the client; the receipt names it; integer, 1 to 2^53-1 */
  seq: number;
  /** text, 0 to 2048 characters */
  text: string;
  /** one of the world's `switches`; "recache" when absent */
  how?: "recache" | "blend" | "flush";
  /** with `blend`: that it takes; integer, 1 to 256; 8 when absent */
  chunks?: number;
}

/** Start the world anew; the frame index goes on. */
export interface ResetMessage {
  type: "reset";
  /** chosen by the client; the receipt names it; integer, 1 to 2^53-1 */
  seq: number;
  /** the seed before when absent; integer, 0 to 2^53-1 */
  seed?: number;
  /** id of an uploaded picture; `none`: the world's own; the one before when absent; text, 1 to 64 characters */
  image?: string;
}

/** Stop making frames. */
export interface PauseMessage {
  type: "pause";
  /** chosen by the client; the receipt names it; integer, 1 to 2^53-1 */
  seq: number;
}

/** Go on making frames from now. */
export interface ResumeMessage {
  type: "resume";
  /** chosen by the client; the receipt names it; integer, 1 to 2^53-1 */
  seq: number;
}

/** Move the schedule of frames by this much, once, so that pictures meet the beat of the display. Realtime only. Earlier by a quarter of a frame at the most, and never by more than the schedule has moved since the beginning. Whose steps serve other sessions as well stays with them: `unsupported`. */
export interface ShiftMessage {
  type: "shift";
  /** chosen by the client; the receipt names it; integer, 1 to 2^53-1 */
  seq: number;
  /** milliseconds, later +; number, -50 to 50 */
  ms: number;
}

/** Make one chunk: in lockstep, or while the clock is paused. */
export interface StepMessage {
  type: "step";
  /** chosen by the client; the receipt names it; integer, 1 to 2^53-1 */
  seq: number;
  /** one row for each frame of the chunk; what the controls hold when absent; list of 1 to 1024: list of 1 to 256: number, -1e9 to 1e9 */
  actions?: number[][];
}

/** Go back in time, in place: frames go on from there, and what waited expires. Realtime sessions only. One of the two says how far: to the nearest restore point that is not younger; the receipt names it. */
export interface RewindMessage {
  type: "rewind";
  /** chosen by the client; the receipt names it; integer, 1 to 2^53-1 */
  seq: number;
  /** of the world's time, before now; number, 0 to 86400 */
  seconds?: number;
  /** to what was before this frame was made; integer, 0 to 2^53-1 */
  frame?: number;
}

/** Keep the world as it is now, under the name that the receipt tells. A server keeps the latest few. */
export interface SnapshotMessage {
  type: "snapshot";
  /** chosen by the client; the receipt names it; integer, 1 to 2^53-1 */
  seq: number;
}

/** Go back to a snapshot of this session, in place, as `rewind` does; any number of times. */
export interface RestoreMessage {
  type: "restore";
  /** chosen by the client; the receipt names it; integer, 1 to 2^53-1 */
  seq: number;
  /** from the receipt of a `snapshot`; text, 1 to 64 characters */
  snapshot: string;
}

/** Make a session of its own that goes on from here, for whoever brings the token of the receipt as `resume`. It takes a place like any other (`busy`). A realtime one is paused until its driver says `resume`; one that nobody drives in time ends. */
export interface ForkMessage {
  type: "fork";
  /** chosen by the client; the receipt names it; integer, 1 to 2^53-1 */
  seq: number;
  /** of this session, to go on from; from now when absent; text, 1 to 64 characters */
  snapshot?: string;
}

/** Record the session, or stop: its pictures as MP4, and beside it what replays it. Both are harmless twice. */
export interface RecordMessage {
  type: "record";
  /** chosen by the client; the receipt names it; integer, 1 to 2^53-1 */
  seq: number;
  /** the receipt comes once the files are open, or complete; boolean */
  on: boolean;
}

/** What the client measured, for the server's figures; it sees what the server cannot. */
export interface ReportMessage {
  type: "report";
  /** list of 1 to 64: Photon */
  photons: Photon[];
}

/** Answered by `pong` with the same `t`. */
export interface PingMessage {
  type: "ping";
  /** anything; say the client's clock in milliseconds; number, -1e15 to 1e15 */
  t: number;
}

/** Both ways: the sender is about to close. */
export interface ByeMessage {
  type: "bye";
  /** from the server: the code of the error that ends the connection; text, 0 to 1024 characters; "" when absent */
  reason?: string;
}

/** Before `welcome`: every place is taken, and the client asked to wait. Say `bye` to give up. */
export interface WaitingMessage {
  type: "waiting";
  /** 1: next; integer, 0 to 2^53-1 */
  position: number;
  /** seconds until a place is probably free, once that can be told; number, 0 to 1e9 */
  estimate_s?: number;
}

/** The answer to `hello`: what the client gets. */
export interface WelcomeMessage {
  type: "welcome";
  /** integer, 0 to 2^53-1 */
  protocol: number;
  /** text, 1 to 64 characters */
  session: string;
  world: WorldInfo;
  /** names that `hello` may ask for; list of 0 to 256: text, 1 to 64 characters; [] when absent */
  worlds: string[];
  limits: Limits;
  /** of the world's random numbers; integer, 0 to 2^53-1 */
  seed: number;
  video: "webrtc" | "websocket" | "none";
  mode: "realtime" | "lockstep";
  format: "raw" | "jpeg" | "h264" | "vp8";
  /** "drive" when absent */
  role: "drive" | "watch";
  /** opens this session again after a lost connection; text, 8 to 1024 characters */
  resume?: string;
  /** lets others see this session; text, 8 to 1024 characters */
  watch?: string;
  /** number of the next frame; integer, 0 to 2^53-1; 0 when absent */
  frame: number;
  /** for WebRTC; credentials among them expire; list of 0 to 16: IceServer; [] when absent */
  ice_servers: IceServer[];
  /** WebRTC must go through TURN; boolean; false when absent */
  relay_only: boolean;
  /** highest `seq` that this session has seen; go on from there; integer, 0 to 2^53-1; 0 when absent */
  last_seq: number;
}

/** Something that will happen, or that has happened and the session survives. */
export interface NoticeMessage {
  type: "notice";
  /** `time_limit` will end the session; after `engine_lost` it goes on in a moment; `recording_full` and `recording_failed` have ended its recording; text, 1 to 64 characters */
  code: string;
  /** for people; text, 0 to 2048 characters */
  message: string;
  /** until then; 0: it has happened; integer, 0 to 2^53-1 */
  seconds: number;
}

/** WebRTC: the server's session description. */
export interface AnswerMessage {
  type: "answer";
  /** a session description; text, 1 to 65536 characters */
  sdp: string;
}

/** What became of one control. */
export interface ReceiptMessage {
  type: "receipt";
  /** chosen by the client; the receipt names it; integer, 1 to 2^53-1 */
  seq: number;
  status: "applied" | "superseded" | "expired" | "rejected";
  /** with `applied`: index of the first frame that it shaped; integer, 0 to 2^53-1 */
  frame?: number;
  /** of `rewind` and `restore`: the world is as it was before this frame; integer, 0 to 2^53-1 */
  to?: number;
  /** of `snapshot`: its name, for `restore`; text, 1 to 64 characters */
  snapshot?: string;
  /** of `fork`: drives the new session, as `resume` in `hello`; text, 8 to 1024 characters */
  fork?: string;
  /** with `rejected` by the engine: the code of the `error`; text, 1 to 64 characters */
  code?: string;
}

/** Facts about a frame that leaves over WebRTC; over the WebSocket they are in its header. */
export interface FrameMessage {
  type: "frame";
  /** integer, 0 to 2^53-1 */
  index: number;
  /** 90 kHz; integer, 0 to 2^53-1 */
  pts: number;
  /** last control that shaped it, 0 for none; integer, 0 to 2^53-1 */
  applied_seq: number;
  /** of its RTP packets; integer, 0 to 4294967295 */
  rtp_timestamp?: number;
  /** what the world took for its chunk; number, 0 to 1e12 */
  compute_ms: number;
  /** number, 0 to 1e12 */
  encode_ms?: number;
  /** from sampling the controls to sending; number, 0 to 1e12 */
  age_ms: number;
}

/** How this session and its server fare; sent about once a second. */
export interface StatsMessage {
  type: "stats";
  /** frames a second that left the server; number, 0 to 1e12 */
  fps: number;
  /** one step of the world */
  step_ms: Percentiles;
  encode_ms?: Percentiles;
  /** input to photon, as this client reported it */
  photon_ms?: Percentiles;
  /** bits a second of pictures; integer, 0 to 2^53-1; 0 when absent */
  bitrate: number;
  /** frames that were made and replaced before they could leave; integer, 0 to 2^53-1; 0 when absent */
  dropped: number;
  /** open on this server; integer, 0 to 2^53-1; 0 when absent */
  sessions: number;
  /** spectators of this session; integer, 0 to 2^53-1; 0 when absent */
  watchers: number;
  /** this session is being recorded; boolean; false when absent */
  recording: boolean;
  /** what an overloaded server gives up: denoising steps, or the rate; "" when absent */
  reduced: "" | "steps" | "rate";
  /** how much it gives up: 0 nothing, 1 the least; integer, 0 to 2^53-1; 0 when absent */
  level: number;
}

/** The answer to `ping`. */
export interface PongMessage {
  type: "pong";
  /** as in the `ping`; number, -1e15 to 1e15 */
  t: number;
}

/** Something was refused or failed. */
export interface ErrorMessage {
  type: "error";
  /** stable; see the table of codes; text, 1 to 64 characters */
  code: string;
  /** for people; text, 0 to 2048 characters */
  message: string;
  /** the message that caused it, where one is known; integer, 1 to 2^53-1 */
  seq?: number;
  /** the same request may succeed later; boolean; false when absent */
  retryable: boolean;
  /** seconds after which that is worth trying; number, 0 to 1e9 */
  retry_after?: number;
}

/** A world's picture, clock and controls. */
export interface WorldInfo {
  /** text, 1 to 64 characters */
  name: string;
  /** text, 0 to 1024 characters; "" when absent */
  title: string;
  /** text, 0 to 1024 characters; "" when absent */
  help: string;
  /** pixels; integer, 1 to 65535 */
  height: number;
  /** pixels; integer, 1 to 65535 */
  width: number;
  /** frames a second, as numerator and denominator; [integer, 1 to 2^53-1, integer, 1 to 2^53-1] */
  fps: [number, number];
  /** frames that one step makes; integer, 1 to 1024 */
  chunk: number;
  actions: ActionInfo;
  /** takes a text; boolean */
  prompts: boolean;
  /** takes a picture; boolean */
  images: boolean;
  /** ways in which `say` changes its text while it goes on; empty: it cannot; list of 0 to 8: `recache` or `blend` or `flush`; [] when absent */
  switches: ("recache" | "blend" | "flush")[];
  /** frames of the episodes that it learned from; 0: not known; integer, 0 to 2^53-1; 0 when absent */
  horizon: number;
  /** mean luma, saturation and sharpness of what it should look like; empty: not known; list of 0 to 8: number, -1e9 to 1e9; [] when absent */
  looks: number[];
  /** names of what it begins with: seed s begins with number s modulo how many; empty: none; list of 0 to 256: text, 1 to 64 characters; [] when absent */
  scenes: string[];
}

/** The action vector: the buttons, then the axes; and how keys and the mouse map to it. */
export interface ActionInfo {
  /** list of 0 to 256: text, 1 to 64 characters */
  buttons: string[];
  /** list of 0 to 256: AxisInfo */
  axes: AxisInfo[];
  /** by KeyboardEvent.code; object of at most 256: KeyInfo */
  keys: { [name: string]: KeyInfo };
  /** axes that (yaw, pitch) of `look` feed; [text, 1 to 64 characters or null, text, 1 to 64 characters or null] */
  look: [string | null, string | null];
}

/** One analogue column of an action. */
export interface AxisInfo {
  /** text, 1 to 64 characters */
  name: string;
  /** lowest value of one frame, in `unit`; number, -1e9 to 1e9 */
  low: number;
  /** highest value of one frame, in `unit`; number, -1e9 to 1e9 */
  high: number;
  /** text, 0 to 64 characters */
  unit: string;
  /** a level holds until changed; an amount is spent once */
  kind: "level" | "amount";
}

/** What holding one key adds to one column, every frame. */
export interface KeyInfo {
  /** text, 1 to 64 characters */
  column: string;
  /** number, -1e9 to 1e9 */
  value: number;
}

/** What the server accepts. */
export interface Limits {
  /** longest message; integer, 0 to 2^53-1 */
  message_bytes: number;
  /** controls that may wait for the world; integer, 0 to 2^53-1 */
  inbox: number;
  /** the driver may `record`; boolean; false when absent */
  recording: boolean;
  /** seconds that `rewind` reaches back at the most; 0: not at all; integer, 0 to 2^53-1; 0 when absent */
  rewind: number;
}

/** Milliseconds. */
export interface Percentiles {
  /** number, 0 to 1e12 */
  p50: number;
  /** number, 0 to 1e12 */
  p95: number;
}

/** A STUN or TURN server, as `RTCPeerConnection` takes it. */
export interface IceServer {
  /** list of 0 to 16: text, 0 to 1024 characters */
  urls: string[];
  /** text, 0 to 1024 characters */
  username?: string;
  /** text, 0 to 1024 characters */
  credential?: string;
}

/** How long one input took until the client showed what it did, in milliseconds, and where the time went. */
export interface Photon {
  /** number, 0 to 1e12 */
  total: number;
  /** until the controls were sampled; number, 0 to 1e12; 0.0 when absent */
  wait?: number;
  /** the world; number, 0 to 1e12; 0.0 when absent */
  compute?: number;
  /** compressing, and waiting to be sent; number, 0 to 1e12; 0.0 when absent */
  encode?: number;
  /** both ways, with jitter buffer and decoder; number, 0 to 1e12; 0.0 when absent */
  network?: number;
  /** from the decoder to the screen; number, 0 to 1e12; 0.0 when absent */
  display?: number;
}

/** The first message of a program: the streams that it wants. */
export interface BatchHello {
  type: "hello";
  /** version that the program speaks: 1; integer, 0 to 2^53-1 */
  protocol: number;
  /** a world's name; the server's first one when absent; text, 1 to 64 characters */
  world?: string;
  /** streams; integer, 1 to 256; 1 when absent */
  size?: number;
  /** signed by the server; needed where it serves strangers; text, 8 to 1024 characters */
  token?: string;
  /** from a `welcome`: go on with the batch whose line was lost; text, 8 to 1024 characters */
  resume?: string;
}

/** Begin streams, or begin them anew; all of these or none. */
export interface BatchStart {
  /** of a request; its answer has it too; integer, 1 to 2^53-1 */
  id: number;
  verb: "start";
  /** numbers of streams, each once; all of them when absent; list of 0 to 256: integer, 0 to 255 */
  which?: number[];
  /** one for each of `which`; list of 0 to 256: BatchBeginning */
  starts: BatchBeginning[];
}

/** Make one chunk of each stream. */
export interface BatchStep {
  /** of a request; its answer has it too; integer, 1 to 2^53-1 */
  id: number;
  verb: "step";
  /** numbers of streams, each once; all of them when absent; list of 0 to 256: integer, 0 to 255 */
  which?: number[];
  /** actions, (n, F, A) float32: a row for each frame of the chunk */
  rows: NdArray;
}

/** Keep the states of streams. */
export interface BatchSave {
  /** of a request; its answer has it too; integer, 1 to 2^53-1 */
  id: number;
  verb: "save";
  /** numbers of streams, each once; all of them when absent; list of 0 to 256: integer, 0 to 255 */
  which?: number[];
}

/** The program is done; its streams are freed, and the connection closed. */
export interface BatchBye {
  verb: "bye";
}

/** The answer to `hello`. No stream has begun yet. */
export interface BatchWelcome {
  type: "welcome";
  /** integer, 0 to 2^53-1 */
  protocol: number;
  world: WorldInfo;
  /** streams; integer, 1 to 256 */
  size: number;
  /** goes on with this batch after a lost connection; text, 8 to 1024 characters */
  resume: string;
}

/** The answer to `start`. */
export interface BatchStarted {
  /** of a request; its answer has it too; integer, 1 to 2^53-1 */
  id: number;
}

/** The answer to `step`. */
export interface BatchStepped {
  /** of a request; its answer has it too; integer, 1 to 2^53-1 */
  id: number;
  /** (n, F, H, W, 3) uint8 */
  frames: NdArray;
  /** (n,) how far the last pictures are from what the world should look like */
  drift: NdArray | null;
  /** what the world took; number, 0 to 1e12 */
  compute_ms: number;
}

/** The answer to `save`. */
export interface BatchSaved {
  /** of a request; its answer has it too; integer, 1 to 2^53-1 */
  id: number;
  /** list of 0 to 256: bytes */
  states: Uint8Array[];
}

/** The answer to what cannot be done; with id 0 the connection ends. */
export interface BatchRefused {
  /** integer, 0 to 2^53-1 */
  id: number;
  error: BatchError;
}

/** What one stream begins from. */
export interface BatchBeginning {
  /** of the world's random numbers; integer, 0 to 2^63-1 */
  seed: number;
  /** a text to start from, where the world takes one; text, 0 to 2048 characters */
  prompt?: string;
  /** a picture, (H, W, 3) uint8, where the world takes one */
  image?: NdArray;
  /** what was seen before, (K, H, W, 3) uint8 */
  frames?: NdArray;
  /** what led to each of `frames`, (K, A) float32 */
  actions?: NdArray;
  /** name of a saved state, good on this server; bytes */
  state?: Uint8Array;
}

/** Why something was refused. */
export interface BatchError {
  /** as in `error`; text, 1 to 64 characters */
  code: string;
  /** for people; text, 0 to 2048 characters */
  message: string;
  /** the same request may succeed later; boolean */
  retryable: boolean;
  /** seconds until then; number, 0 to 1e9 */
  retry_after: number | null;
}

/** Numbers, as openpi's `msgpack_numpy` packs them. The four keys of this map are bytes, not text. */
export interface NdArray {
  __ndarray__: true;
  /** the numbers, the last axis closest together; bytes */
  data: Uint8Array;
  /** numpy's name of their type and byte order, like `<f4` or `|u1`; text, 1 to 64 characters */
  dtype: string;
  /** list of 0 to 8: integer, 0 to 2^53-1 */
  shape: number[];
}
