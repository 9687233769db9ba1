# Walks by itself for so many seconds, and says as JSON what came of it: a line when a session is open, one for each
# thing that it did, and a last one with the figures. It does what a hand does: it makes InputEvents.
extends Node

const REST = 0.2  # seconds without input before each deed, as often as it takes until the picture rests
const RESTS = 10  # at most
const STILL = 1.0  # levels of grey by which pictures of a world at rest may differ on average
const FRAMES = 6  # of the world after the first one that a deed shaped, until the pictures are compared
const GIVE_UP = 3.0  # seconds
const STRIDE = 7  # every so many bytes of a picture are compared
const DEEDS = [KEY_D, KEY_W, 0, KEY_A, KEY_S, 0]  # 0: the mouse, to the right

var _main = null
var _left = 0.0  # seconds
var _deed = 0  # how many were begun
var _acting = false
var _since = 0.0  # seconds since the rest, or the deed, began
var _rests = 0  # before this deed
var _change_at_rest = null
var _before = null  # the picture at the end of the latest rest
var _receipt = null
var _done = 0  # deeds that were answered and seen


func begin(main, seconds):
	_main = main
	_left = seconds
	Engine.target_fps = 60  # without a screen nothing else holds the loop back
	_main.world.connect("opened", self, "_on_opened")
	_main.world.connect("receipted", self, "_on_receipted")
	_main.world.connect("lost", self, "_on_lost")
	_main.world.connect("ended", self, "_on_ended")


func _process(delta):
	if _main.shown < 0:
		return
	_left -= delta
	_since += delta
	if _left <= 0.0:
		_finish(0 if _done > 0 else 1)
	elif _acting:
		_look_what_happened()
	else:
		_rest()


func _rest():
	if _since < REST:
		return
	var early = _before
	_before = _main.screen()
	_change_at_rest = _change(early, _before)
	_since = 0.0
	_rests += 1
	if _rests >= RESTS or (_change_at_rest != null and _change_at_rest < STILL):
		_acting = true
		_receipt = null
		_act(true)


func _act(pressed):
	var key = DEEDS[_deed % DEEDS.size()]
	var event = InputEventKey.new() if key != 0 else InputEventMouseButton.new()
	event.pressed = pressed
	if key != 0:
		event.scancode = key
	else:
		event.button_index = BUTTON_LEFT
	Input.parse_input_event(event)
	if key == 0 and pressed:
		var motion = InputEventMouseMotion.new()
		motion.relative = Vector2(50, 0)
		Input.parse_input_event(motion)


func _look_what_happened():
	var seen = _receipt != null and (_receipt["frame"] < 0 or _main.shown >= _receipt["frame"] + FRAMES)
	if not seen and _since < GIVE_UP:
		return
	var told = {"did": DEEDS[_deed % DEEDS.size()], "times_lost": _main.world.times_lost, "status": "none"}
	if _receipt != null:
		told["did"] = _receipt["control"].get("code", "mouse")
		told["status"] = _receipt["status"]
		told["frame"] = _receipt["frame"]
		told["rest"] = _change_at_rest
		told["change"] = _change(_before, _main.screen())
		_done += 1 if seen else 0
	_say(told)
	_go_on()


func _go_on():
	_act(false)
	_acting = false
	_deed += 1
	_since = 0.0
	_rests = 0
	_before = null


func _on_receipted(receipt):
	var control = receipt["control"]
	if _acting and _receipt == null and (control["type"] == "look" or control.get("down") == true):
		_receipt = receipt


func _on_opened(welcome):
	_say({"session": welcome["session"], "times_lost": _main.world.times_lost, "frame": int(welcome["frame"])})


func _on_lost():
	if _acting:
		_go_on()
	_since = 0.0
	_rests = 0
	_before = null


func _on_ended(why):
	if _left > 0.0:
		printerr("the session has ended: %s" % why)
		_finish(1)


func _finish(code):
	set_process(false)
	_left = 0.0
	_say({"walked": true, "deeds": _done, "times_lost": _main.world.times_lost, "figures": _main.figures.told()})
	_main.world.close()
	get_tree().quit(code)


# The mean difference of two pictures, in levels of grey.
func _change(a, b):
	if a == null or b == null or a.get_size() != b.get_size():
		return null
	var one = a.get_data()
	var other = b.get_data()
	var total = 0.0
	for at in range(0, one.size(), STRIDE):
		total += abs(one[at] - other[at])
	return total * STRIDE / one.size()


func _say(told):
	print(to_json(told))
