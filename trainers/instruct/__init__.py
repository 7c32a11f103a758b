"""Instruction and preference data: from raw text and foreign files to counted, divided sets of prompts and replies."""
