"""Published methods, a folder each: systems, claims, and what only that method needs. No other folder names one.

Each folder is a plug-in: it registers its entries when it is imported, the way a stranger's package does.
"""
