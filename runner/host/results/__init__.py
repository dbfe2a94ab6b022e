"""Result files as ``compare`` and ``collect`` read them: checked, indexed, grouped by attempt. No statistics and no verdict."""
