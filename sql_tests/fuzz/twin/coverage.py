"""How often each feature of docs/sql.md was used, how often with success, and what the library refused."""
from collections import Counter


class Coverage:
    def __init__(self):
        self.used, self.succeeded, self.rows, self.refused = Counter(), Counter(), Counter(), {}

    def note(self, features, ok, rows=0):
        for feature in features:
            self.used[feature] += 1
            self.succeeded[feature] += ok
            self.rows[feature] += rows

    def refusal(self, feature, message):
        self.refused[feature] = message

    def report(self):
        lines = [f"{'feature':<44}{'statements':>11}{'succeeded':>11}{'rows':>12}"]
        for feature in sorted(self.used):
            lines.append(f"{feature:<44}{self.used[feature]:>11,}{self.succeeded[feature]:>11,}{self.rows[feature]:>12,}")
        for feature, message in sorted(self.refused.items()):
            lines.append(f"refused: {feature:<35} {message}")
        return "\n".join(lines)
