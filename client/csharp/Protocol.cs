// The protocol, version 1: what each side says over the WebSocket. See docs/protocol.md for how it is meant.
// What begins with Batch is MessagePack, at /v1/batch.
// Generated: python -m worldloom.streamer.csharp client/csharp/Protocol.cs
using System;
using System.Collections.Generic;
using System.Runtime.Serialization;

namespace Worldloom.Protocol
{
    /// <summary>The version, and which class a message of a type is.</summary>
    public static class Messages
    {
        public const int Version = 1;
        public static readonly Dictionary<string, Type> Client = new Dictionary<string, Type>
        {
            { "hello", typeof(HelloMessage) },
            { "view", typeof(ViewMessage) },
            { "offer", typeof(OfferMessage) },
            { "candidate", typeof(CandidateMessage) },
            { "key", typeof(KeyMessage) },
            { "look", typeof(LookMessage) },
            { "axes", typeof(AxesMessage) },
            { "action", typeof(ActionMessage) },
            { "prompt", typeof(PromptMessage) },
            { "say", typeof(SayMessage) },
            { "reset", typeof(ResetMessage) },
            { "pause", typeof(PauseMessage) },
            { "resume", typeof(ResumeMessage) },
            { "shift", typeof(ShiftMessage) },
            { "step", typeof(StepMessage) },
            { "rewind", typeof(RewindMessage) },
            { "snapshot", typeof(SnapshotMessage) },
            { "restore", typeof(RestoreMessage) },
            { "fork", typeof(ForkMessage) },
            { "record", typeof(RecordMessage) },
            { "report", typeof(ReportMessage) },
            { "ping", typeof(PingMessage) },
            { "bye", typeof(ByeMessage) },
        };
        public static readonly Dictionary<string, Type> Server = new Dictionary<string, Type>
        {
            { "waiting", typeof(WaitingMessage) },
            { "welcome", typeof(WelcomeMessage) },
            { "notice", typeof(NoticeMessage) },
            { "answer", typeof(AnswerMessage) },
            { "candidate", typeof(CandidateMessage) },
            { "receipt", typeof(ReceiptMessage) },
            { "frame", typeof(FrameMessage) },
            { "stats", typeof(StatsMessage) },
            { "pong", typeof(PongMessage) },
            { "error", typeof(ErrorMessage) },
            { "bye", typeof(ByeMessage) },
        };
    }

    /// <summary>Codes of errors.</summary>
    public static class ErrorCodes
    {
        public const string BadAction = "bad_action";
        public const string BadImage = "bad_image";
        public const string BadMessage = "bad_message";
        public const string BadOffer = "bad_offer";
        public const string Busy = "busy";
        public const string Draining = "draining";
        public const string EngineLost = "engine_lost";
        public const string Forbidden = "forbidden";
        public const string HelloExpected = "hello_expected";
        public const string ImageTooLarge = "image_too_large";
        public const string InternalError = "internal_error";
        public const string MessageTooLarge = "message_too_large";
        public const string ModelFault = "model_fault";
        public const string OutOfReach = "out_of_reach";
        public const string RateLimited = "rate_limited";
        public const string RecordingFailed = "recording_failed";
        public const string RecordingFull = "recording_full";
        public const string RecordingOff = "recording_off";
        public const string SessionClosed = "session_closed";
        public const string TakenOver = "taken_over";
        public const string TimeLimit = "time_limit";
        public const string TooManyPixels = "too_many_pixels";
        public const string Unauthorized = "unauthorized";
        public const string UnknownImage = "unknown_image";
        public const string UnknownKey = "unknown_key";
        public const string UnknownPrompt = "unknown_prompt";
        public const string UnknownSession = "unknown_session";
        public const string UnknownSnapshot = "unknown_snapshot";
        public const string UnknownWorld = "unknown_world";
        public const string Unsupported = "unsupported";
        public const string VersionMismatch = "version_mismatch";
    }

    /// <summary>The first message: what the client wants.</summary>
    [DataContract]
    public sealed class HelloMessage
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "hello";
        /// <summary>version that the client speaks: 1; integer, 0 to 2^53-1</summary>
        [DataMember(Name = "protocol", IsRequired = true)]
        public long Protocol { get; set; }
        /// <summary>a world's name; the server's first one when absent; text, 1 to 64 characters</summary>
        [DataMember(Name = "world", EmitDefaultValue = false)]
        public string World { get; set; }
        /// <summary>the server draws one when absent; integer, 0 to 2^53-1</summary>
        [DataMember(Name = "seed", EmitDefaultValue = false)]
        public long? Seed { get; set; }
        /// <summary>a text to start from, where the world takes one; text, 0 to 2048 characters</summary>
        [DataMember(Name = "prompt", EmitDefaultValue = false)]
        public string Prompt { get; set; }
        /// <summary>id of an uploaded picture to start from, where it takes one; text, 1 to 64 characters</summary>
        [DataMember(Name = "image", EmitDefaultValue = false)]
        public string Image { get; set; }
        /// <summary>how pictures travel; `webrtc` or `websocket` or `none`</summary>
        [DataMember(Name = "video")]
        public string Video { get; set; } = "webrtc";
        /// <summary>paced by the clock, or one chunk for each `step`; `realtime` or `lockstep`</summary>
        [DataMember(Name = "mode")]
        public string Mode { get; set; } = "realtime";
        /// <summary>of pictures over the WebSocket; `raw` or `jpeg` or `h264` or `vp8`</summary>
        [DataMember(Name = "format")]
        public string Format { get; set; } = "jpeg";
        /// <summary>pictures do not depend, to the bit, on who else is served; boolean</summary>
        [DataMember(Name = "deterministic")]
        public bool Deterministic { get; set; } = false;
        /// <summary>when every place is taken: wait for one instead of `busy`; boolean</summary>
        [DataMember(Name = "wait")]
        public bool Wait { get; set; } = false;
        /// <summary>signed by the server; needed where it serves strangers; text, 8 to 1024 characters</summary>
        [DataMember(Name = "token", EmitDefaultValue = false)]
        public string Token { get; set; }
        /// <summary>from an earlier `welcome`, or a lease: go on with that session, and take it over; text, 8 to 1024 characters</summary>
        [DataMember(Name = "resume", EmitDefaultValue = false)]
        public string Resume { get; set; }
        /// <summary>from a driver's `welcome`: see that session, without control; text, 8 to 1024 characters</summary>
        [DataMember(Name = "watch", EmitDefaultValue = false)]
        public string Watch { get; set; }
    }

    /// <summary>Change how pictures travel; the world does not notice. An `offer` may come before or after.</summary>
    [DataContract]
    public sealed class ViewMessage
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "view";
        /// <summary>`webrtc` or `websocket` or `none`</summary>
        [DataMember(Name = "video", IsRequired = true)]
        public string Video { get; set; }
        /// <summary>of pictures over the WebSocket; `raw` or `jpeg` or `h264` or `vp8`</summary>
        [DataMember(Name = "format")]
        public string Format { get; set; } = "jpeg";
    }

    /// <summary>WebRTC: the client's session description, with one video line that receives. A later one replaces it.</summary>
    [DataContract]
    public sealed class OfferMessage
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "offer";
        /// <summary>a session description; text, 1 to 65536 characters</summary>
        [DataMember(Name = "sdp", IsRequired = true)]
        public string Sdp { get; set; }
    }

    /// <summary>WebRTC, both ways: one ICE candidate; an empty one ends the list.</summary>
    [DataContract]
    public sealed class CandidateMessage
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "candidate";
        /// <summary>text, 0 to 1024 characters</summary>
        [DataMember(Name = "candidate", IsRequired = true)]
        public string Candidate { get; set; }
        /// <summary>text, 0 to 64 characters</summary>
        [DataMember(Name = "sdp_mid", EmitDefaultValue = false)]
        public string SdpMid { get; set; }
        /// <summary>integer, 0 to 65535</summary>
        [DataMember(Name = "sdp_mline_index", EmitDefaultValue = false)]
        public long? SdpMlineIndex { get; set; }
    }

    /// <summary>A key went down or up.</summary>
    [DataContract]
    public sealed class KeyMessage
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "key";
        /// <summary>chosen by the client; the receipt names it; integer, 1 to 2^53-1</summary>
        [DataMember(Name = "seq", IsRequired = true)]
        public long Seq { get; set; }
        /// <summary>W3C KeyboardEvent.code; text, 1 to 32 characters</summary>
        [DataMember(Name = "code", IsRequired = true)]
        public string Code { get; set; }
        /// <summary>boolean</summary>
        [DataMember(Name = "down", IsRequired = true)]
        public bool Down { get; set; }
    }

    /// <summary>The view turned by this much since the last `look`; amounts are summed and spent once.</summary>
    [DataContract]
    public sealed class LookMessage
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "look";
        /// <summary>chosen by the client; the receipt names it; integer, 1 to 2^53-1</summary>
        [DataMember(Name = "seq", IsRequired = true)]
        public long Seq { get; set; }
        /// <summary>degrees, right +; number, -3600 to 3600</summary>
        [DataMember(Name = "yaw")]
        public double Yaw { get; set; } = 0.0;
        /// <summary>degrees, up +; number, -3600 to 3600</summary>
        [DataMember(Name = "pitch")]
        public double Pitch { get; set; } = 0.0;
    }

    /// <summary>New values for some axes: a level is held until changed, an amount is spent once.</summary>
    [DataContract]
    public sealed class AxesMessage
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "axes";
        /// <summary>chosen by the client; the receipt names it; integer, 1 to 2^53-1</summary>
        [DataMember(Name = "seq", IsRequired = true)]
        public long Seq { get; set; }
        /// <summary>by axis name, in its unit; object of at most 256: number, -1e9 to 1e9</summary>
        [DataMember(Name = "values", IsRequired = true)]
        public Dictionary<string, double> Values { get; set; }
    }

    /// <summary>A whole action row, columns as in `welcome`: levels are held, amounts are spent once.</summary>
    [DataContract]
    public sealed class ActionMessage
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "action";
        /// <summary>chosen by the client; the receipt names it; integer, 1 to 2^53-1</summary>
        [DataMember(Name = "seq", IsRequired = true)]
        public long Seq { get; set; }
        /// <summary>list of 1 to 256: number, -1e9 to 1e9</summary>
        [DataMember(Name = "values", IsRequired = true)]
        public double[] Values { get; set; }
    }

    /// <summary>Start the world anew from a text; the frame index goes on.</summary>
    [DataContract]
    public sealed class PromptMessage
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "prompt";
        /// <summary>chosen by the client; the receipt names it; integer, 1 to 2^53-1</summary>
        [DataMember(Name = "seq", IsRequired = true)]
        public long Seq { get; set; }
        /// <summary>text, 0 to 2048 characters</summary>
        [DataMember(Name = "text", IsRequired = true)]
        public string Text { get; set; }
    }

    /// <summary>Go on from here under another text. A later one supersedes one that was not taken up yet.</summary>
    [DataContract]
    public sealed class SayMessage
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "say";
        /// <summary>chosen by the client; the receipt names it; integer, 1 to 2^53-1</summary>
        [DataMember(Name = "seq", IsRequired = true)]
        public long Seq { get; set; }
        /// <summary>text, 0 to 2048 characters</summary>
        [DataMember(Name = "text", IsRequired = true)]
        public string Text { get; set; }
        /// <summary>one of the world's `switches`; `recache` or `blend` or `flush`</summary>
        [DataMember(Name = "how")]
        public string How { get; set; } = "recache";
        /// <summary>with `blend`: that it takes; integer, 1 to 256</summary>
        [DataMember(Name = "chunks")]
        public long Chunks { get; set; } = 8;
    }

    /// <summary>Start the world anew; the frame index goes on.</summary>
    [DataContract]
    public sealed class ResetMessage
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "reset";
        /// <summary>chosen by the client; the receipt names it; integer, 1 to 2^53-1</summary>
        [DataMember(Name = "seq", IsRequired = true)]
        public long Seq { get; set; }
        /// <summary>the seed before when absent; integer, 0 to 2^53-1</summary>
        [DataMember(Name = "seed", EmitDefaultValue = false)]
        public long? Seed { get; set; }
        /// <summary>id of an uploaded picture; `none`: the world's own; the one before when absent; text, 1 to 64 characters</summary>
        [DataMember(Name = "image", EmitDefaultValue = false)]
        public string Image { get; set; }
    }

    /// <summary>Stop making frames.</summary>
    [DataContract]
    public sealed class PauseMessage
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "pause";
        /// <summary>chosen by the client; the receipt names it; integer, 1 to 2^53-1</summary>
        [DataMember(Name = "seq", IsRequired = true)]
        public long Seq { get; set; }
    }

    /// <summary>Go on making frames from now.</summary>
    [DataContract]
    public sealed class ResumeMessage
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "resume";
        /// <summary>chosen by the client; the receipt names it; integer, 1 to 2^53-1</summary>
        [DataMember(Name = "seq", IsRequired = true)]
        public long Seq { get; set; }
    }

    /// <summary>Move the schedule of frames by this much, once, so that pictures meet the beat of the display. Realtime only. Earlier by a quarter of a frame at the most, and never by more than the schedule has moved since the beginning. Whose steps serve other sessions as well stays with them: `unsupported`.</summary>
    [DataContract]
    public sealed class ShiftMessage
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "shift";
        /// <summary>chosen by the client; the receipt names it; integer, 1 to 2^53-1</summary>
        [DataMember(Name = "seq", IsRequired = true)]
        public long Seq { get; set; }
        /// <summary>milliseconds, later +; number, -50 to 50</summary>
        [DataMember(Name = "ms", IsRequired = true)]
        public double Ms { get; set; }
    }

    /// <summary>Make one chunk: in lockstep, or while the clock is paused.</summary>
    [DataContract]
    public sealed class StepMessage
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "step";
        /// <summary>chosen by the client; the receipt names it; integer, 1 to 2^53-1</summary>
        [DataMember(Name = "seq", IsRequired = true)]
        public long Seq { get; set; }
        /// <summary>one row for each frame of the chunk; what the controls hold when absent; list of 1 to 1024: list of 1 to 256: number, -1e9 to 1e9</summary>
        [DataMember(Name = "actions", EmitDefaultValue = false)]
        public double[][] Actions { get; set; }
    }

    /// <summary>Go back in time, in place: frames go on from there, and what waited expires. Realtime sessions only. One of the two says how far: to the nearest restore point that is not younger; the receipt names it.</summary>
    [DataContract]
    public sealed class RewindMessage
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "rewind";
        /// <summary>chosen by the client; the receipt names it; integer, 1 to 2^53-1</summary>
        [DataMember(Name = "seq", IsRequired = true)]
        public long Seq { get; set; }
        /// <summary>of the world's time, before now; number, 0 to 86400</summary>
        [DataMember(Name = "seconds", EmitDefaultValue = false)]
        public double? Seconds { get; set; }
        /// <summary>to what was before this frame was made; integer, 0 to 2^53-1</summary>
        [DataMember(Name = "frame", EmitDefaultValue = false)]
        public long? Frame { get; set; }
    }

    /// <summary>Keep the world as it is now, under the name that the receipt tells. A server keeps the latest few.</summary>
    [DataContract]
    public sealed class SnapshotMessage
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "snapshot";
        /// <summary>chosen by the client; the receipt names it; integer, 1 to 2^53-1</summary>
        [DataMember(Name = "seq", IsRequired = true)]
        public long Seq { get; set; }
    }

    /// <summary>Go back to a snapshot of this session, in place, as `rewind` does; any number of times.</summary>
    [DataContract]
    public sealed class RestoreMessage
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "restore";
        /// <summary>chosen by the client; the receipt names it; integer, 1 to 2^53-1</summary>
        [DataMember(Name = "seq", IsRequired = true)]
        public long Seq { get; set; }
        /// <summary>from the receipt of a `snapshot`; text, 1 to 64 characters</summary>
        [DataMember(Name = "snapshot", IsRequired = true)]
        public string Snapshot { get; set; }
    }

    /// <summary>Make a session of its own that goes on from here, for whoever brings the token of the receipt as `resume`. It takes a place like any other (`busy`). A realtime one is paused until its driver says `resume`; one that nobody drives in time ends.</summary>
    [DataContract]
    public sealed class ForkMessage
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "fork";
        /// <summary>chosen by the client; the receipt names it; integer, 1 to 2^53-1</summary>
        [DataMember(Name = "seq", IsRequired = true)]
        public long Seq { get; set; }
        /// <summary>of this session, to go on from; from now when absent; text, 1 to 64 characters</summary>
        [DataMember(Name = "snapshot", EmitDefaultValue = false)]
        public string Snapshot { get; set; }
    }

    /// <summary>Record the session, or stop: its pictures as MP4, and beside it what replays it. Both are harmless twice.</summary>
    [DataContract]
    public sealed class RecordMessage
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "record";
        /// <summary>chosen by the client; the receipt names it; integer, 1 to 2^53-1</summary>
        [DataMember(Name = "seq", IsRequired = true)]
        public long Seq { get; set; }
        /// <summary>the receipt comes once the files are open, or complete; boolean</summary>
        [DataMember(Name = "on", IsRequired = true)]
        public bool On { get; set; }
    }

    /// <summary>What the client measured, for the server's figures; it sees what the server cannot.</summary>
    [DataContract]
    public sealed class ReportMessage
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "report";
        /// <summary>list of 1 to 64: Photon</summary>
        [DataMember(Name = "photons", IsRequired = true)]
        public Photon[] Photons { get; set; }
    }

    /// <summary>Answered by `pong` with the same `t`.</summary>
    [DataContract]
    public sealed class PingMessage
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "ping";
        /// <summary>anything; say the client's clock in milliseconds; number, -1e15 to 1e15</summary>
        [DataMember(Name = "t", IsRequired = true)]
        public double T { get; set; }
    }

    /// <summary>Both ways: the sender is about to close.</summary>
    [DataContract]
    public sealed class ByeMessage
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "bye";
        /// <summary>from the server: the code of the error that ends the connection; text, 0 to 1024 characters</summary>
        [DataMember(Name = "reason")]
        public string Reason { get; set; } = "";
    }

    /// <summary>Before `welcome`: every place is taken, and the client asked to wait. Say `bye` to give up.</summary>
    [DataContract]
    public sealed class WaitingMessage
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "waiting";
        /// <summary>1: next; integer, 0 to 2^53-1</summary>
        [DataMember(Name = "position", IsRequired = true)]
        public long Position { get; set; }
        /// <summary>seconds until a place is probably free, once that can be told; number, 0 to 1e9</summary>
        [DataMember(Name = "estimate_s", EmitDefaultValue = false)]
        public double? EstimateS { get; set; }
    }

    /// <summary>The answer to `hello`: what the client gets.</summary>
    [DataContract]
    public sealed class WelcomeMessage
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "welcome";
        /// <summary>integer, 0 to 2^53-1</summary>
        [DataMember(Name = "protocol", IsRequired = true)]
        public long Protocol { get; set; }
        /// <summary>text, 1 to 64 characters</summary>
        [DataMember(Name = "session", IsRequired = true)]
        public string Session { get; set; }
        [DataMember(Name = "world", IsRequired = true)]
        public WorldInfo World { get; set; }
        /// <summary>names that `hello` may ask for; list of 0 to 256: text, 1 to 64 characters</summary>
        [DataMember(Name = "worlds")]
        public string[] Worlds { get; set; } = new string[0];
        [DataMember(Name = "limits", IsRequired = true)]
        public Limits Limits { get; set; }
        /// <summary>of the world's random numbers; integer, 0 to 2^53-1</summary>
        [DataMember(Name = "seed", IsRequired = true)]
        public long Seed { get; set; }
        /// <summary>`webrtc` or `websocket` or `none`</summary>
        [DataMember(Name = "video", IsRequired = true)]
        public string Video { get; set; }
        /// <summary>`realtime` or `lockstep`</summary>
        [DataMember(Name = "mode", IsRequired = true)]
        public string Mode { get; set; }
        /// <summary>`raw` or `jpeg` or `h264` or `vp8`</summary>
        [DataMember(Name = "format", IsRequired = true)]
        public string Format { get; set; }
        /// <summary>`drive` or `watch`</summary>
        [DataMember(Name = "role")]
        public string Role { get; set; } = "drive";
        /// <summary>opens this session again after a lost connection; text, 8 to 1024 characters</summary>
        [DataMember(Name = "resume", EmitDefaultValue = false)]
        public string Resume { get; set; }
        /// <summary>lets others see this session; text, 8 to 1024 characters</summary>
        [DataMember(Name = "watch", EmitDefaultValue = false)]
        public string Watch { get; set; }
        /// <summary>number of the next frame; integer, 0 to 2^53-1</summary>
        [DataMember(Name = "frame")]
        public long Frame { get; set; } = 0;
        /// <summary>for WebRTC; credentials among them expire; list of 0 to 16: IceServer</summary>
        [DataMember(Name = "ice_servers")]
        public IceServer[] IceServers { get; set; } = new IceServer[0];
        /// <summary>WebRTC must go through TURN; boolean</summary>
        [DataMember(Name = "relay_only")]
        public bool RelayOnly { get; set; } = false;
        /// <summary>highest `seq` that this session has seen; go on from there; integer, 0 to 2^53-1</summary>
        [DataMember(Name = "last_seq")]
        public long LastSeq { get; set; } = 0;
    }

    /// <summary>Something that will happen, or that has happened and the session survives.</summary>
    [DataContract]
    public sealed class NoticeMessage
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "notice";
        /// <summary>`time_limit` will end the session; after `engine_lost` it goes on in a moment; `recording_full` and `recording_failed` have ended its recording; text, 1 to 64 characters</summary>
        [DataMember(Name = "code", IsRequired = true)]
        public string Code { get; set; }
        /// <summary>for people; text, 0 to 2048 characters</summary>
        [DataMember(Name = "message", IsRequired = true)]
        public string Message { get; set; }
        /// <summary>until then; 0: it has happened; integer, 0 to 2^53-1</summary>
        [DataMember(Name = "seconds", IsRequired = true)]
        public long Seconds { get; set; }
    }

    /// <summary>WebRTC: the server's session description.</summary>
    [DataContract]
    public sealed class AnswerMessage
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "answer";
        /// <summary>a session description; text, 1 to 65536 characters</summary>
        [DataMember(Name = "sdp", IsRequired = true)]
        public string Sdp { get; set; }
    }

    /// <summary>What became of one control.</summary>
    [DataContract]
    public sealed class ReceiptMessage
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "receipt";
        /// <summary>chosen by the client; the receipt names it; integer, 1 to 2^53-1</summary>
        [DataMember(Name = "seq", IsRequired = true)]
        public long Seq { get; set; }
        /// <summary>`applied` or `superseded` or `expired` or `rejected`</summary>
        [DataMember(Name = "status", IsRequired = true)]
        public string Status { get; set; }
        /// <summary>with `applied`: index of the first frame that it shaped; integer, 0 to 2^53-1</summary>
        [DataMember(Name = "frame", EmitDefaultValue = false)]
        public long? Frame { get; set; }
        /// <summary>of `rewind` and `restore`: the world is as it was before this frame; integer, 0 to 2^53-1</summary>
        [DataMember(Name = "to", EmitDefaultValue = false)]
        public long? To { get; set; }
        /// <summary>of `snapshot`: its name, for `restore`; text, 1 to 64 characters</summary>
        [DataMember(Name = "snapshot", EmitDefaultValue = false)]
        public string Snapshot { get; set; }
        /// <summary>of `fork`: drives the new session, as `resume` in `hello`; text, 8 to 1024 characters</summary>
        [DataMember(Name = "fork", EmitDefaultValue = false)]
        public string Fork { get; set; }
        /// <summary>with `rejected` by the engine: the code of the `error`; text, 1 to 64 characters</summary>
        [DataMember(Name = "code", EmitDefaultValue = false)]
        public string Code { get; set; }
    }

    /// <summary>Facts about a frame that leaves over WebRTC; over the WebSocket they are in its header.</summary>
    [DataContract]
    public sealed class FrameMessage
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "frame";
        /// <summary>integer, 0 to 2^53-1</summary>
        [DataMember(Name = "index", IsRequired = true)]
        public long Index { get; set; }
        /// <summary>90 kHz; integer, 0 to 2^53-1</summary>
        [DataMember(Name = "pts", IsRequired = true)]
        public long Pts { get; set; }
        /// <summary>last control that shaped it, 0 for none; integer, 0 to 2^53-1</summary>
        [DataMember(Name = "applied_seq", IsRequired = true)]
        public long AppliedSeq { get; set; }
        /// <summary>of its RTP packets; integer, 0 to 4294967295</summary>
        [DataMember(Name = "rtp_timestamp", EmitDefaultValue = false)]
        public long? RtpTimestamp { get; set; }
        /// <summary>what the world took for its chunk; number, 0 to 1e12</summary>
        [DataMember(Name = "compute_ms", IsRequired = true)]
        public double ComputeMs { get; set; }
        /// <summary>number, 0 to 1e12</summary>
        [DataMember(Name = "encode_ms", EmitDefaultValue = false)]
        public double? EncodeMs { get; set; }
        /// <summary>from sampling the controls to sending; number, 0 to 1e12</summary>
        [DataMember(Name = "age_ms", IsRequired = true)]
        public double AgeMs { get; set; }
    }

    /// <summary>How this session and its server fare; sent about once a second.</summary>
    [DataContract]
    public sealed class StatsMessage
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "stats";
        /// <summary>frames a second that left the server; number, 0 to 1e12</summary>
        [DataMember(Name = "fps", IsRequired = true)]
        public double Fps { get; set; }
        /// <summary>one step of the world</summary>
        [DataMember(Name = "step_ms", IsRequired = true)]
        public Percentiles StepMs { get; set; }
        [DataMember(Name = "encode_ms", EmitDefaultValue = false)]
        public Percentiles EncodeMs { get; set; }
        /// <summary>input to photon, as this client reported it</summary>
        [DataMember(Name = "photon_ms", EmitDefaultValue = false)]
        public Percentiles PhotonMs { get; set; }
        /// <summary>bits a second of pictures; integer, 0 to 2^53-1</summary>
        [DataMember(Name = "bitrate")]
        public long Bitrate { get; set; } = 0;
        /// <summary>frames that were made and replaced before they could leave; integer, 0 to 2^53-1</summary>
        [DataMember(Name = "dropped")]
        public long Dropped { get; set; } = 0;
        /// <summary>open on this server; integer, 0 to 2^53-1</summary>
        [DataMember(Name = "sessions")]
        public long Sessions { get; set; } = 0;
        /// <summary>spectators of this session; integer, 0 to 2^53-1</summary>
        [DataMember(Name = "watchers")]
        public long Watchers { get; set; } = 0;
        /// <summary>this session is being recorded; boolean</summary>
        [DataMember(Name = "recording")]
        public bool Recording { get; set; } = false;
        /// <summary>what an overloaded server gives up: denoising steps, or the rate; `` or `steps` or `rate`</summary>
        [DataMember(Name = "reduced")]
        public string Reduced { get; set; } = "";
        /// <summary>how much it gives up: 0 nothing, 1 the least; integer, 0 to 2^53-1</summary>
        [DataMember(Name = "level")]
        public long Level { get; set; } = 0;
    }

    /// <summary>The answer to `ping`.</summary>
    [DataContract]
    public sealed class PongMessage
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "pong";
        /// <summary>as in the `ping`; number, -1e15 to 1e15</summary>
        [DataMember(Name = "t", IsRequired = true)]
        public double T { get; set; }
    }

    /// <summary>Something was refused or failed.</summary>
    [DataContract]
    public sealed class ErrorMessage
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "error";
        /// <summary>stable; see the table of codes; text, 1 to 64 characters</summary>
        [DataMember(Name = "code", IsRequired = true)]
        public string Code { get; set; }
        /// <summary>for people; text, 0 to 2048 characters</summary>
        [DataMember(Name = "message", IsRequired = true)]
        public string Message { get; set; }
        /// <summary>the message that caused it, where one is known; integer, 1 to 2^53-1</summary>
        [DataMember(Name = "seq", EmitDefaultValue = false)]
        public long? Seq { get; set; }
        /// <summary>the same request may succeed later; boolean</summary>
        [DataMember(Name = "retryable")]
        public bool Retryable { get; set; } = false;
        /// <summary>seconds after which that is worth trying; number, 0 to 1e9</summary>
        [DataMember(Name = "retry_after", EmitDefaultValue = false)]
        public double? RetryAfter { get; set; }
    }

    /// <summary>A world's picture, clock and controls.</summary>
    [DataContract]
    public sealed class WorldInfo
    {
        /// <summary>text, 1 to 64 characters</summary>
        [DataMember(Name = "name", IsRequired = true)]
        public string Name { get; set; }
        /// <summary>text, 0 to 1024 characters</summary>
        [DataMember(Name = "title")]
        public string Title { get; set; } = "";
        /// <summary>text, 0 to 1024 characters</summary>
        [DataMember(Name = "help")]
        public string Help { get; set; } = "";
        /// <summary>pixels; integer, 1 to 65535</summary>
        [DataMember(Name = "height", IsRequired = true)]
        public long Height { get; set; }
        /// <summary>pixels; integer, 1 to 65535</summary>
        [DataMember(Name = "width", IsRequired = true)]
        public long Width { get; set; }
        /// <summary>frames a second, as numerator and denominator; [integer, 1 to 2^53-1, integer, 1 to 2^53-1]</summary>
        [DataMember(Name = "fps", IsRequired = true)]
        public long[] Fps { get; set; }
        /// <summary>frames that one step makes; integer, 1 to 1024</summary>
        [DataMember(Name = "chunk", IsRequired = true)]
        public long Chunk { get; set; }
        [DataMember(Name = "actions", IsRequired = true)]
        public ActionInfo Actions { get; set; }
        /// <summary>takes a text; boolean</summary>
        [DataMember(Name = "prompts", IsRequired = true)]
        public bool Prompts { get; set; }
        /// <summary>takes a picture; boolean</summary>
        [DataMember(Name = "images", IsRequired = true)]
        public bool Images { get; set; }
        /// <summary>ways in which `say` changes its text while it goes on; empty: it cannot; list of 0 to 8: `recache` or `blend` or `flush`</summary>
        [DataMember(Name = "switches")]
        public string[] Switches { get; set; } = new string[0];
        /// <summary>frames of the episodes that it learned from; 0: not known; integer, 0 to 2^53-1</summary>
        [DataMember(Name = "horizon")]
        public long Horizon { get; set; } = 0;
        /// <summary>mean luma, saturation and sharpness of what it should look like; empty: not known; list of 0 to 8: number, -1e9 to 1e9</summary>
        [DataMember(Name = "looks")]
        public double[] Looks { get; set; } = new double[0];
        /// <summary>names of what it begins with: seed s begins with number s modulo how many; empty: none; list of 0 to 256: text, 1 to 64 characters</summary>
        [DataMember(Name = "scenes")]
        public string[] Scenes { get; set; } = new string[0];
    }

    /// <summary>The action vector: the buttons, then the axes; and how keys and the mouse map to it.</summary>
    [DataContract]
    public sealed class ActionInfo
    {
        /// <summary>list of 0 to 256: text, 1 to 64 characters</summary>
        [DataMember(Name = "buttons", IsRequired = true)]
        public string[] Buttons { get; set; }
        /// <summary>list of 0 to 256: AxisInfo</summary>
        [DataMember(Name = "axes", IsRequired = true)]
        public AxisInfo[] Axes { get; set; }
        /// <summary>by KeyboardEvent.code; object of at most 256: KeyInfo</summary>
        [DataMember(Name = "keys", IsRequired = true)]
        public Dictionary<string, KeyInfo> Keys { get; set; }
        /// <summary>axes that (yaw, pitch) of `look` feed; [text, 1 to 64 characters or null, text, 1 to 64 characters or null]</summary>
        [DataMember(Name = "look", IsRequired = true)]
        public string[] Look { get; set; }
    }

    /// <summary>One analogue column of an action.</summary>
    [DataContract]
    public sealed class AxisInfo
    {
        /// <summary>text, 1 to 64 characters</summary>
        [DataMember(Name = "name", IsRequired = true)]
        public string Name { get; set; }
        /// <summary>lowest value of one frame, in `unit`; number, -1e9 to 1e9</summary>
        [DataMember(Name = "low", IsRequired = true)]
        public double Low { get; set; }
        /// <summary>highest value of one frame, in `unit`; number, -1e9 to 1e9</summary>
        [DataMember(Name = "high", IsRequired = true)]
        public double High { get; set; }
        /// <summary>text, 0 to 64 characters</summary>
        [DataMember(Name = "unit", IsRequired = true)]
        public string Unit { get; set; }
        /// <summary>a level holds until changed; an amount is spent once; `level` or `amount`</summary>
        [DataMember(Name = "kind", IsRequired = true)]
        public string Kind { get; set; }
    }

    /// <summary>What holding one key adds to one column, every frame.</summary>
    [DataContract]
    public sealed class KeyInfo
    {
        /// <summary>text, 1 to 64 characters</summary>
        [DataMember(Name = "column", IsRequired = true)]
        public string Column { get; set; }
        /// <summary>number, -1e9 to 1e9</summary>
        [DataMember(Name = "value", IsRequired = true)]
        public double Value { get; set; }
    }

    /// <summary>What the server accepts.</summary>
    [DataContract]
    public sealed class Limits
    {
        /// <summary>longest message; integer, 0 to 2^53-1</summary>
        [DataMember(Name = "message_bytes", IsRequired = true)]
        public long MessageBytes { get; set; }
        /// <summary>controls that may wait for the world; integer, 0 to 2^53-1</summary>
        [DataMember(Name = "inbox", IsRequired = true)]
        public long Inbox { get; set; }
        /// <summary>the driver may `record`; boolean</summary>
        [DataMember(Name = "recording")]
        public bool Recording { get; set; } = false;
        /// <summary>seconds that `rewind` reaches back at the most; 0: not at all; integer, 0 to 2^53-1</summary>
        [DataMember(Name = "rewind")]
        public long Rewind { get; set; } = 0;
    }

    /// <summary>Milliseconds.</summary>
    [DataContract]
    public sealed class Percentiles
    {
        /// <summary>number, 0 to 1e12</summary>
        [DataMember(Name = "p50", IsRequired = true)]
        public double P50 { get; set; }
        /// <summary>number, 0 to 1e12</summary>
        [DataMember(Name = "p95", IsRequired = true)]
        public double P95 { get; set; }
    }

    /// <summary>A STUN or TURN server, as `RTCPeerConnection` takes it.</summary>
    [DataContract]
    public sealed class IceServer
    {
        /// <summary>list of 0 to 16: text, 0 to 1024 characters</summary>
        [DataMember(Name = "urls", IsRequired = true)]
        public string[] Urls { get; set; }
        /// <summary>text, 0 to 1024 characters</summary>
        [DataMember(Name = "username", EmitDefaultValue = false)]
        public string Username { get; set; }
        /// <summary>text, 0 to 1024 characters</summary>
        [DataMember(Name = "credential", EmitDefaultValue = false)]
        public string Credential { get; set; }
    }

    /// <summary>How long one input took until the client showed what it did, in milliseconds, and where the time went.</summary>
    [DataContract]
    public sealed class Photon
    {
        /// <summary>number, 0 to 1e12</summary>
        [DataMember(Name = "total", IsRequired = true)]
        public double Total { get; set; }
        /// <summary>until the controls were sampled; number, 0 to 1e12</summary>
        [DataMember(Name = "wait")]
        public double Wait { get; set; } = 0.0;
        /// <summary>the world; number, 0 to 1e12</summary>
        [DataMember(Name = "compute")]
        public double Compute { get; set; } = 0.0;
        /// <summary>compressing, and waiting to be sent; number, 0 to 1e12</summary>
        [DataMember(Name = "encode")]
        public double Encode { get; set; } = 0.0;
        /// <summary>both ways, with jitter buffer and decoder; number, 0 to 1e12</summary>
        [DataMember(Name = "network")]
        public double Network { get; set; } = 0.0;
        /// <summary>from the decoder to the screen; number, 0 to 1e12</summary>
        [DataMember(Name = "display")]
        public double Display { get; set; } = 0.0;
    }

    /// <summary>The first message of a program: the streams that it wants.</summary>
    [DataContract]
    public sealed class BatchHello
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "hello";
        /// <summary>version that the program speaks: 1; integer, 0 to 2^53-1</summary>
        [DataMember(Name = "protocol", IsRequired = true)]
        public long Protocol { get; set; }
        /// <summary>a world's name; the server's first one when absent; text, 1 to 64 characters</summary>
        [DataMember(Name = "world", EmitDefaultValue = false)]
        public string World { get; set; }
        /// <summary>streams; integer, 1 to 256</summary>
        [DataMember(Name = "size")]
        public long Size { get; set; } = 1;
        /// <summary>signed by the server; needed where it serves strangers; text, 8 to 1024 characters</summary>
        [DataMember(Name = "token", EmitDefaultValue = false)]
        public string Token { get; set; }
        /// <summary>from a `welcome`: go on with the batch whose line was lost; text, 8 to 1024 characters</summary>
        [DataMember(Name = "resume", EmitDefaultValue = false)]
        public string Resume { get; set; }
    }

    /// <summary>Begin streams, or begin them anew; all of these or none.</summary>
    [DataContract]
    public sealed class BatchStart
    {
        /// <summary>of a request; its answer has it too; integer, 1 to 2^53-1</summary>
        [DataMember(Name = "id", IsRequired = true)]
        public long Id { get; set; }
        [DataMember(Name = "verb", IsRequired = true)]
        public string Verb { get; set; } = "start";
        /// <summary>numbers of streams, each once; all of them when absent; list of 0 to 256: integer, 0 to 255</summary>
        [DataMember(Name = "which", EmitDefaultValue = false)]
        public long[] Which { get; set; }
        /// <summary>one for each of `which`; list of 0 to 256: BatchBeginning</summary>
        [DataMember(Name = "starts", IsRequired = true)]
        public BatchBeginning[] Starts { get; set; }
    }

    /// <summary>Make one chunk of each stream.</summary>
    [DataContract]
    public sealed class BatchStep
    {
        /// <summary>of a request; its answer has it too; integer, 1 to 2^53-1</summary>
        [DataMember(Name = "id", IsRequired = true)]
        public long Id { get; set; }
        [DataMember(Name = "verb", IsRequired = true)]
        public string Verb { get; set; } = "step";
        /// <summary>numbers of streams, each once; all of them when absent; list of 0 to 256: integer, 0 to 255</summary>
        [DataMember(Name = "which", EmitDefaultValue = false)]
        public long[] Which { get; set; }
        /// <summary>actions, (n, F, A) float32: a row for each frame of the chunk</summary>
        [DataMember(Name = "rows", IsRequired = true)]
        public NdArray Rows { get; set; }
    }

    /// <summary>Keep the states of streams.</summary>
    [DataContract]
    public sealed class BatchSave
    {
        /// <summary>of a request; its answer has it too; integer, 1 to 2^53-1</summary>
        [DataMember(Name = "id", IsRequired = true)]
        public long Id { get; set; }
        [DataMember(Name = "verb", IsRequired = true)]
        public string Verb { get; set; } = "save";
        /// <summary>numbers of streams, each once; all of them when absent; list of 0 to 256: integer, 0 to 255</summary>
        [DataMember(Name = "which", EmitDefaultValue = false)]
        public long[] Which { get; set; }
    }

    /// <summary>The program is done; its streams are freed, and the connection closed.</summary>
    [DataContract]
    public sealed class BatchBye
    {
        [DataMember(Name = "verb", IsRequired = true)]
        public string Verb { get; set; } = "bye";
    }

    /// <summary>The answer to `hello`. No stream has begun yet.</summary>
    [DataContract]
    public sealed class BatchWelcome
    {
        [DataMember(Name = "type", IsRequired = true)]
        public string Type { get; set; } = "welcome";
        /// <summary>integer, 0 to 2^53-1</summary>
        [DataMember(Name = "protocol", IsRequired = true)]
        public long Protocol { get; set; }
        [DataMember(Name = "world", IsRequired = true)]
        public WorldInfo World { get; set; }
        /// <summary>streams; integer, 1 to 256</summary>
        [DataMember(Name = "size", IsRequired = true)]
        public long Size { get; set; }
        /// <summary>goes on with this batch after a lost connection; text, 8 to 1024 characters</summary>
        [DataMember(Name = "resume", IsRequired = true)]
        public string Resume { get; set; }
    }

    /// <summary>The answer to `start`.</summary>
    [DataContract]
    public sealed class BatchStarted
    {
        /// <summary>of a request; its answer has it too; integer, 1 to 2^53-1</summary>
        [DataMember(Name = "id", IsRequired = true)]
        public long Id { get; set; }
    }

    /// <summary>The answer to `step`.</summary>
    [DataContract]
    public sealed class BatchStepped
    {
        /// <summary>of a request; its answer has it too; integer, 1 to 2^53-1</summary>
        [DataMember(Name = "id", IsRequired = true)]
        public long Id { get; set; }
        /// <summary>(n, F, H, W, 3) uint8</summary>
        [DataMember(Name = "frames", IsRequired = true)]
        public NdArray Frames { get; set; }
        /// <summary>(n,) how far the last pictures are from what the world should look like</summary>
        [DataMember(Name = "drift", IsRequired = true)]
        public NdArray Drift { get; set; }
        /// <summary>what the world took; number, 0 to 1e12</summary>
        [DataMember(Name = "compute_ms", IsRequired = true)]
        public double ComputeMs { get; set; }
    }

    /// <summary>The answer to `save`.</summary>
    [DataContract]
    public sealed class BatchSaved
    {
        /// <summary>of a request; its answer has it too; integer, 1 to 2^53-1</summary>
        [DataMember(Name = "id", IsRequired = true)]
        public long Id { get; set; }
        /// <summary>list of 0 to 256: bytes</summary>
        [DataMember(Name = "states", IsRequired = true)]
        public byte[][] States { get; set; }
    }

    /// <summary>The answer to what cannot be done; with id 0 the connection ends.</summary>
    [DataContract]
    public sealed class BatchRefused
    {
        /// <summary>integer, 0 to 2^53-1</summary>
        [DataMember(Name = "id", IsRequired = true)]
        public long Id { get; set; }
        [DataMember(Name = "error", IsRequired = true)]
        public BatchError Error { get; set; }
    }

    /// <summary>What one stream begins from.</summary>
    [DataContract]
    public sealed class BatchBeginning
    {
        /// <summary>of the world's random numbers; integer, 0 to 2^63-1</summary>
        [DataMember(Name = "seed", IsRequired = true)]
        public long Seed { get; set; }
        /// <summary>a text to start from, where the world takes one; text, 0 to 2048 characters</summary>
        [DataMember(Name = "prompt", EmitDefaultValue = false)]
        public string Prompt { get; set; }
        /// <summary>a picture, (H, W, 3) uint8, where the world takes one</summary>
        [DataMember(Name = "image", EmitDefaultValue = false)]
        public NdArray Image { get; set; }
        /// <summary>what was seen before, (K, H, W, 3) uint8</summary>
        [DataMember(Name = "frames", EmitDefaultValue = false)]
        public NdArray Frames { get; set; }
        /// <summary>what led to each of `frames`, (K, A) float32</summary>
        [DataMember(Name = "actions", EmitDefaultValue = false)]
        public NdArray Actions { get; set; }
        /// <summary>name of a saved state, good on this server; bytes</summary>
        [DataMember(Name = "state", EmitDefaultValue = false)]
        public byte[] State { get; set; }
    }

    /// <summary>Why something was refused.</summary>
    [DataContract]
    public sealed class BatchError
    {
        /// <summary>as in `error`; text, 1 to 64 characters</summary>
        [DataMember(Name = "code", IsRequired = true)]
        public string Code { get; set; }
        /// <summary>for people; text, 0 to 2048 characters</summary>
        [DataMember(Name = "message", IsRequired = true)]
        public string Message { get; set; }
        /// <summary>the same request may succeed later; boolean</summary>
        [DataMember(Name = "retryable", IsRequired = true)]
        public bool Retryable { get; set; }
        /// <summary>seconds until then; number, 0 to 1e9</summary>
        [DataMember(Name = "retry_after", IsRequired = true)]
        public double? RetryAfter { get; set; }
    }

    /// <summary>Numbers, as openpi's `msgpack_numpy` packs them. The four keys of this map are bytes, not text.</summary>
    [DataContract]
    public sealed class NdArray
    {
        [DataMember(Name = "__ndarray__", IsRequired = true)]
        public bool Ndarray { get; set; } = true;
        /// <summary>the numbers, the last axis closest together; bytes</summary>
        [DataMember(Name = "data", IsRequired = true)]
        public byte[] Data { get; set; }
        /// <summary>numpy's name of their type and byte order, like `&lt;f4` or `|u1`; text, 1 to 64 characters</summary>
        [DataMember(Name = "dtype", IsRequired = true)]
        public string Dtype { get; set; }
        /// <summary>list of 0 to 8: integer, 0 to 2^53-1</summary>
        [DataMember(Name = "shape", IsRequired = true)]
        public long[] Shape { get; set; }
    }

    /// <summary>The header of a picture: a binary message begins with it. Little-endian.</summary>
    public sealed class FrameHeader
    {
        public const int Bytes = 48;
        public byte Version { get; private set; }
        public byte Format { get; private set; }
        public ushort Flags { get; private set; }
        public ushort Width { get; private set; }
        public ushort Height { get; private set; }
        public uint Length { get; private set; }
        public ulong Index { get; private set; }
        public long Pts { get; private set; }
        public ulong AppliedSeq { get; private set; }
        public uint ComputeUs { get; private set; }
        public uint AgeUs { get; private set; }

        /// <summary>Reads a message; its picture begins at Bytes.</summary>
        public static FrameHeader Read(byte[] message)
        {
            if (message.Length < Bytes || message[0] != 87 || message[1] != 76 || message[2] != 70 || message[3] != 49)
                throw new FormatException("expected a frame message");
            return new FrameHeader
            {
                Version = message[4],
                Format = message[5],
                Flags = BitConverter.ToUInt16(message, 6),
                Width = BitConverter.ToUInt16(message, 8),
                Height = BitConverter.ToUInt16(message, 10),
                Length = BitConverter.ToUInt32(message, 12),
                Index = BitConverter.ToUInt64(message, 16),
                Pts = BitConverter.ToInt64(message, 24),
                AppliedSeq = BitConverter.ToUInt64(message, 32),
                ComputeUs = BitConverter.ToUInt32(message, 40),
                AgeUs = BitConverter.ToUInt32(message, 44),
            };
        }
    }
}
