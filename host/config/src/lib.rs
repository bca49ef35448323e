//! The table of directives: names, types, defaults, parsers, printers.
