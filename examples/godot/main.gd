# A world of a Worldloom server in a Godot window: W A S D and the mouse, after a click; Escape lets go of the mouse, R
# begins anew. Keys are those of the world. In the corner: how long inputs took until their pictures were shown.
# Settings are environment variables, see the README.
extends Control

const World = preload("res://world.gd")
const Figures = preload("res://figures.gd")
const Walk = preload("res://walk.gd")
const DEGREES_PER_PIXEL = 0.18
const SAY_EVERY = 5.0  # seconds between two lines of figures
const CODES = {
	KEY_LEFT: "ArrowLeft", KEY_RIGHT: "ArrowRight", KEY_UP: "ArrowUp", KEY_DOWN: "ArrowDown",
	KEY_SPACE: "Space", KEY_ENTER: "Enter", KEY_SHIFT: "ShiftLeft",
}

var world = World.new()
var figures = Figures.new()
var shown = -1  # number of the picture on the screen

var _clicked = false  # the mouse looks around
var _since_said = 0.0


func _ready():
	world.connect("opened", self, "_on_opened")
	world.connect("pictured", self, "_on_pictured")
	world.connect("receipted", figures, "receipt")
	world.connect("waiting", self, "_on_waiting")
	world.connect("refused", self, "_on_refused")
	world.connect("lost", self, "_on_lost")
	world.connect("ended", self, "_on_ended")
	add_child(world)
	var hello = {"type": "hello", "protocol": 1, "video": "websocket", "format": "jpeg", "wait": true}
	for name in ["world", "token"]:
		if _setting(name) != "":
			hello[name] = _setting(name)
	var url = _setting("url") if _setting("url") != "" else "ws://127.0.0.1:8000"
	if float(_setting("walk")) > 0.0:
		var walk = Walk.new()
		walk.begin(self, float(_setting("walk")))
		add_child(walk)
	world.open(url + "/v1/session", hello)


# What the screen shows, as an Image; null before the first picture.
func screen():
	return $Screen.texture.get_data() if $Screen.texture != null else null


func _process(delta):
	_since_said += delta
	if _since_said > SAY_EVERY:
		_since_said = 0.0
		print(figures.line())


func _input(event):
	if event is InputEventKey and not event.echo:
		_key(event)
	elif event is InputEventMouseButton and event.pressed:
		_clicked = true
		Input.set_mouse_mode(Input.MOUSE_MODE_CAPTURED)
	elif event is InputEventMouseMotion and _clicked and _looks():
		world.look(event.relative.x * DEGREES_PER_PIXEL, -event.relative.y * DEGREES_PER_PIXEL)


func _key(event):
	if event.scancode == KEY_ESCAPE:
		_clicked = false
		Input.set_mouse_mode(Input.MOUSE_MODE_VISIBLE)
	var code = _code(event.scancode)
	if world.session != "" and world.info["actions"]["keys"].has(code):
		if event.pressed:
			world.press(code)
		else:
			world.release(code)
	elif event.scancode == KEY_R and event.pressed:
		world.reset(randi())


# The protocol's name of a key, which is that of `KeyboardEvent.code`.
func _code(scancode):
	if scancode >= KEY_A and scancode <= KEY_Z:
		return "Key" + char(scancode)
	return CODES.get(scancode, "")


func _looks():
	return world.session != "" and world.info["actions"]["look"] != [null, null]


func _setting(name):
	return OS.get_environment("WORLDLOOM_" + name.to_upper())


func _on_opened(welcome):
	$Told.text = welcome["world"]["help"]


func _on_waiting(position):
	$Told.text = "Waiting for a place: number %d in line" % position


func _on_pictured(picture):
	if picture["index"] <= shown:
		return
	shown = picture["index"]
	var texture = ImageTexture.new()
	texture.create_from_image(picture["image"], 0)
	$Screen.texture = texture
	figures.picture(picture)
	$Told.text = figures.line()


func _on_refused(code, message):
	printerr("%s: %s" % [code, message])


func _on_lost():
	figures.forget()
	$Told.text = "Reconnecting"


func _on_ended(why):
	$Told.text = "The session has ended: %s" % why
	Input.set_mouse_mode(Input.MOUSE_MODE_VISIBLE)


func _notification(what):
	if what == MainLoop.NOTIFICATION_WM_QUIT_REQUEST:
		world.close()
	elif what == MainLoop.NOTIFICATION_WM_FOCUS_OUT:
		world.release_all()  # their release is heard by another window
