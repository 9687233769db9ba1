"""Clients of a Worldloom server, and worlds as Gymnasium environments. Importing this loads no torch."""
