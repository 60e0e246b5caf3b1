"""An adapter or a merged model in the file layouts of other programs, each checked before it is called done."""
