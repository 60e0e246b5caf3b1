"""What an adapter is worth: answers, measures, the proof."""
