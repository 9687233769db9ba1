# A world on a Worldloom server: controls out, receipts and pictures in. A connection that is lost is sought again, and
# the same session goes on at the same frame; what is held is held again. See docs/protocol.md.
# Knows the protocol; nothing of keyboards, mice and screens.
extends Node

signal waiting(position)  # in line for a place
signal opened(welcome)  # for the first time, or again
signal pictured(picture)  # {index, applied, compute_us, age_us, image, came_us}: the newest of those that came
signal receipted(receipt)  # {seq, status, frame, control, said_us, came_us}; frame is -1 for none
signal refused(code, message)
signal lost()
signal ended(why)

const Line = preload("res://line.gd")
const WAITS = [0.1, 0.3, 0.6, 1.0, 2.0]  # seconds between two attempts; the last one repeats
const PATIENCE = 30.0  # seconds to seek a lost connection
const ATTEMPT = 2.5  # seconds that one attempt may take, and the first one longer
const FIRST_ATTEMPT = 15.0
const PING_EVERY = 1.0
const SILENCE = 3.0  # seconds after which a server that says nothing is away
const HEADER = 48  # bytes before each picture

var info = {}  # of the world, as `welcome` says
var session = ""
var times_lost = 0

var _url = ""
var _hello = {}
var _line = null
var _resume = ""
var _welcomed = false  # on the line that there is
var _seq = 0
var _said = {}  # seq -> [control, when]; without an answer
var _held = {}  # codes of keys that are down
var _why = "there is no server"  # what the server said last about an end
var _final = false  # and there is no way back
var _greeted = false  # `hello` was said
var _heard_at = 0.0  # seconds, as all moments here
var _pinged_at = 0.0
var _begun_at = 0.0  # when this attempt began
var _lost_at = -1.0  # when the connection was lost; below zero while there is one
var _attempts = 0
var _again_at = -1.0  # when to try again; below zero: not at all


func open(url, hello):
	_url = url
	_hello = hello
	_try()


func press(code):
	_held[code] = true
	return _control({"type": "key", "code": code, "down": true})


func release(code):
	_held.erase(code)
	return _control({"type": "key", "code": code, "down": false})


func release_all():
	for code in _held.keys():
		release(code)


func look(yaw, pitch):
	return _control({"type": "look", "yaw": yaw, "pitch": pitch})


func reset(seed_):
	return _control({"type": "reset", "seed": seed_})


func close():
	_say({"type": "bye", "reason": "closed by the game"})
	_end("closed")


func _process(_delta):
	if _line == null:
		if _again_at >= 0.0 and _now() >= _again_at:
			_try()
		return
	_hear(_line.heard())
	if _line == null:  # somebody closed the world when he heard that
		return
	if _line.is_over:
		_drop()
	elif not _welcomed:
		_greet()
	elif _now() - _heard_at > SILENCE:
		_drop()
	elif _now() - _pinged_at > PING_EVERY:
		_pinged_at = _now()
		_say({"type": "ping", "t": _now()})


func _now():
	return OS.get_ticks_usec() / 1000000.0


func _greet():
	if _line.is_open and not _greeted:
		_greeted = true
		_say(_hello)
	if _now() - _begun_at > (FIRST_ATTEMPT if session == "" else ATTEMPT):
		_drop()


func _try():
	_again_at = -1.0
	_begun_at = _now()
	_greeted = false
	_welcomed = false
	if _resume != "":
		_hello["resume"] = _resume
	_line = Line.new()
	_line.open(_url)


# The line is gone: seek it again, or tell why not.
func _drop():
	_line.close()
	_line = null
	if _resume == "" or _final:
		_end(_why)
		return
	if _lost_at < 0.0:
		_lost_at = _now()
		_attempts = 0
		times_lost += 1
		_said.clear()  # nothing is done late; what the server has seen, it has done
		emit_signal("lost")
	if _now() - _lost_at > PATIENCE:
		_end("the connection was lost")
		return
	_again_at = _now() + WAITS[min(_attempts, WAITS.size() - 1)]
	_attempts += 1


func _end(why):
	if _line != null:
		_line.close()
	_line = null
	_again_at = -1.0
	_resume = ""
	emit_signal("ended", why)


func _hear(messages):
	var newest = null
	for message in messages:
		_heard_at = _now()
		if message is String:
			_hear_text(parse_json(message))
		else:
			newest = message
	if newest != null:
		var picture = _picture(newest)
		if picture != null:
			emit_signal("pictured", picture)


func _hear_text(message):
	match message["type"]:
		"welcome":
			_welcome(message)
		"waiting":
			_begun_at = _now()
			emit_signal("waiting", int(message["position"]))
		"receipt":
			_receipt(message)
		"error":
			_why = message["code"]
			_final = _final or not (_welcomed or message.get("retryable", false))
			emit_signal("refused", message["code"], message["message"])
		"bye":
			_why = message.get("reason", "")
			_final = true


func _welcome(message):
	_welcomed = true
	_heard_at = _now()
	_lost_at = -1.0
	info = message["world"]
	session = message["session"]
	_resume = message.get("resume", "")
	_seq = max(_seq, int(message.get("last_seq", 0)))
	emit_signal("opened", message)
	for code in _held:
		_control({"type": "key", "code": code, "down": true})


func _receipt(message):
	var seq = int(message["seq"])
	if not _said.has(seq):
		return
	var frame = message.get("frame")
	emit_signal("receipted", {
		"seq": seq,
		"status": message["status"],
		"frame": -1 if frame == null else int(frame),
		"control": _said[seq][0],
		"said_us": _said[seq][1],
		"came_us": OS.get_ticks_usec(),
	})
	_said.erase(seq)


# Returns its number, or 0 where there is no connection: nothing is done late.
func _control(control):
	if _line == null or not _welcomed:
		return 0
	_seq += 1
	control["seq"] = _seq
	_said[_seq] = [control, OS.get_ticks_usec()]
	_say(control)
	return _seq


func _say(message):
	if _line != null:
		_line.say(to_json(message))


# A binary message: the header, then a JPEG. Null where it is none.
func _picture(bytes):
	var reader = StreamPeerBuffer.new()
	reader.data_array = bytes
	if bytes.size() < HEADER or bytes.subarray(0, 3).get_string_from_ascii() != "WLF1" or bytes[5] != 1:
		return null
	var picture = {"came_us": OS.get_ticks_usec(), "image": Image.new()}
	reader.seek(16)
	picture["index"] = reader.get_u64()
	reader.seek(32)
	picture["applied"] = reader.get_u64()
	picture["compute_us"] = reader.get_u32()
	picture["age_us"] = reader.get_u32()
	if picture["image"].load_jpg_from_buffer(bytes.subarray(HEADER, bytes.size() - 1)) != OK:
		return null
	return picture
