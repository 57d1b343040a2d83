// A handler that does what its arguments say.

class Broken extends Error {
  name = "Broken";
}

class ValueError extends Error {
  name = "ValueError";
}

export async function handler({ data }) {
  switch (data.arguments.do) {
    case "result":
      return { attempt: data.attempt, owner: data.owner ?? null };
    case "null":
      return null;
    case "permanent":
      throw new ValueError("no such thing");
    case "again":
      if (data.attempt === 1) throw new Broken("not yet");
      return data.attempt;
    case "error":
      return { $error: { code: "SOLD_OUT", message: "none left", retryable: false } };
    case "continue": {
      const legs = (data.state ?? 0) + 1;
      return legs === 3 ? legs : { $continue: { state: legs, after_seconds: 1 } };
    }
    case "reserved":
      return { $later: 1 };
    case "exit":
      process.exit(3);
      break;
    case "memory": {
      const kept = [];
      for (;;) kept.push(new Array(1e6).fill(kept.length));
    }
    case "sleep":
      await new Promise((done) => setTimeout(done, data.arguments.seconds * 1000));
      return data.attempt;
    case "large":
      return "x".repeat(256 * 1024);
    case "deep": {
      let value = [];
      for (let depth = 0; depth < 70; depth++) value = [value];
      return value;
    }
    case "no json":
      return { n: 1n };
    default:
      throw new Error("unknown");
  }
}
