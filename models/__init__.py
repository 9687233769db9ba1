"""World models: what a world is, and the networks that dream it.

Imports nothing else of Worldloom, and importing this package loads neither torch nor any weights.

Letters in shape comments, one meaning each: B streams in a batch, F frames, C latent channels, H and W pixels,
h and w latent cells, N = h*w tokens a frame, S tokens in a sequence, D width, A action columns, L layers.
"""
