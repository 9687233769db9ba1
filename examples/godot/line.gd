# One WebSocket to a server: texts out, texts and bytes in. Knows nothing of what they mean.
# All of this file differs in Godot 4, where a `WebSocketPeer` is polled; see the README.
extends Reference

const MOST_KB = 4096  # of messages that wait to be read
const MOST_PACKETS = 1024

var is_open = false
var is_over = false  # it was closed, or could not be opened

var _client = WebSocketClient.new()
var _messages = []


func open(url):
	_client.connect("connection_established", self, "_on_open")
	_client.connect("data_received", self, "_on_data")
	_client.connect("connection_closed", self, "_on_over")
	_client.connect("connection_error", self, "_on_over")
	_client.set_buffers(MOST_KB, MOST_PACKETS, 256, 256)
	is_over = _client.connect_to_url(url) != OK


# What came: a String or a PoolByteArray each.
func heard():
	if not is_over:
		_client.poll()
	var messages = _messages
	_messages = []
	return messages


func say(text):
	if is_open and not is_over:
		_client.get_peer(1).set_write_mode(WebSocketPeer.WRITE_MODE_TEXT)
		_client.get_peer(1).put_packet(text.to_utf8())


func close():
	if is_open and not is_over:
		_client.disconnect_from_host(1000, "")
		_client.poll()
	is_over = true


func _on_open(_protocol):
	is_open = true


# At once, for the last words of a server are followed by the end of the connection.
func _on_data():
	var peer = _client.get_peer(1)
	var bytes = peer.get_packet()
	_messages.append(bytes.get_string_from_utf8() if peer.was_string_packet() else bytes)


func _on_over(_clean = false):
	is_over = true
