"""From files to documents: reading, cleaning, the ledger, rendering, layout. Nothing here reaches torch."""
