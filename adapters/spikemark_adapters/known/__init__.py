"""What is known of the frameworks' own classes of neurons, as users' models hold them; one file per framework.

State variables and call conventions are those of the frameworks' source; what is listed for a class holds for its
subclasses, unless those are listed too.
"""
