"""How well a picture is found by the response to it, and a response by its picture."""
