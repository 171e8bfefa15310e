// What a program in TypeScript may write; `make test` checks it with tsc and never runs it.
import { AgentHalted, EnsignError, Fleet, SpanProcessor, currentSession, type Operation, type Session } from "./ensign.mjs";

export async function work(ticket: { id: string; text: string }, tracer: { startActiveSpan: any }): Promise<string> {
  const fleet = new Fleet("/srv/fleet/prod", { warn: (message) => message.length });
  let session: Session;
  try {
    session = await fleet.session("support/refund-triage", { key: ticket.id });
  } catch (problem) {
    return problem instanceof AgentHalted ? "people" : problem instanceof EnsignError ? problem.message : "?";
  }
  const { tools, dropped } = session.toolsFor([{ name: "payments__refund", run: (amount: number) => amount }]);
  const first: number | undefined = tools[0]?.run(1);
  const named: { [name: string]: () => string } = session.toolsFor({ payments__refund: () => "ok" }).tools;
  const operation: Operation | null = session.resolve("payments__refund");
  const limit: number | null = session.limits.costUSD;
  const answer: Promise<string> = session.run(
    async (run) => {
      await session.raiseIfHalted();
      run.usage({ inputTokens: 1, outputTokens: 1 });
      return session.call("payments__refund", { amount: 1 }, () => `${named["payments__refund"]?.()} ${first} ${limit}`);
    },
    { tracer },
  );
  new SpanProcessor().onStart({}, undefined);
  // @ts-expect-error: a session never changes.
  session.version = "2.0.0";
  // @ts-expect-error: keys are text.
  await fleet.session("support/refund-triage", { key: 4711 });
  return (await answer) + dropped.join() + (operation?.expired("2027-06-30") ?? currentSession()?.agent);
}
