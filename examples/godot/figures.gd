# How the stream runs, as this game sees it: from an input to its receipt and to its first picture.
extends Reference

const KEPT = 512  # latest delays

var pictures = 0
var receipts = {}  # how many, by status
var receipt_ms = []
var picture_ms = []
var server_ms = []  # of that: from sampling the controls to sending the picture, as its header says

var _coming = []  # receipts whose picture is still to come


func receipt(told):
	receipts[told["status"]] = receipts.get(told["status"], 0) + 1
	_keep(receipt_ms, (told["came_us"] - told["said_us"]) / 1000.0)
	if told["frame"] >= 0 and _coming.size() < KEPT:
		_coming.append(told)


func picture(shown):
	pictures += 1
	var later = []
	for told in _coming:
		if told["frame"] > shown["index"]:
			later.append(told)
		else:
			_keep(picture_ms, (OS.get_ticks_usec() - told["said_us"]) / 1000.0)
			_keep(server_ms, shown["age_us"] / 1000.0)
	_coming = later


# The connection was lost: what was on its way did not come.
func forget():
	_coming = []


func told():
	return {
		"pictures": pictures,
		"receipts": receipts,
		"receipt_ms": percentiles(receipt_ms),
		"picture_ms": percentiles(picture_ms),
		"server_ms": percentiles(server_ms),
	}


func line():
	var delay = percentiles(picture_ms)
	var receipt = percentiles(receipt_ms)
	if delay["count"] == 0:
		return "%d pictures" % pictures
	return "%d pictures; input to picture p50 %.0f, p95 %.0f ms; to receipt p50 %.0f, p95 %.0f ms" % [
		pictures, delay["p50"], delay["p95"], receipt["p50"], receipt["p95"]
	]


static func percentiles(values):
	var ordered = values.duplicate()
	ordered.sort()
	var found = {"count": ordered.size()}
	for share in [50, 95, 99]:
		var place = int(ceil(share / 100.0 * ordered.size())) - 1
		found["p%d" % share] = ordered[max(0, place)] if ordered.size() > 0 else null
	return found


func _keep(delays, value):
	delays.append(value)
	if delays.size() > KEPT:
		delays.pop_front()
