// Types of ensign.mjs. What each thing means is written there, and in docs/runtimes.md.

export declare const version: string;

export declare class EnsignError extends Error {}
export declare class InvalidArgument extends EnsignError {}
export declare class AgentNotFound extends EnsignError {}
export declare class AgentHalted extends EnsignError {}
export declare class FleetUnavailable extends EnsignError {}
export declare class CorruptRoute extends EnsignError {}
export declare class Unproven extends CorruptRoute {}
export declare class InvalidKeys extends EnsignError {}
export declare class CorruptBundle extends EnsignError {}
export declare class NotDeclared extends EnsignError {}
export declare class PermissionDenied extends Error {}

export type JSONValue = null | boolean | number | string | JSONValue[] | { [name: string]: JSONValue };
export type JSONObject = { [name: string]: JSONValue };
export type Phase = "stable" | "canary" | "halted";

export interface WeightedVersion {
  readonly version: string;
  readonly digest: string;
  /** A whole percentage of sessions. */
  readonly weight: number;
}

export interface Route {
  readonly agent: string;
  readonly environment: string;
  readonly phase: Phase;
  /** The candidate first, the stable version last. None when halted. */
  readonly routes: readonly WeightedVersion[];
}

export declare function bucket(agent: string, digest: string, key: string): number;
export declare function select(route: Route, key: string): { bucket: number; choice: WeightedVersion };
export declare function modelName(tool: string, operation: string): string;
export declare function currentSession(): Session | undefined;
export declare function main(
  given: string[],
  print?: (line: string) => void,
  complain?: (line: string) => void,
): Promise<number>;

export interface Operation {
  readonly tool: string;
  readonly name: string;
  /** The name by which a model calls it. */
  readonly schemaName: string;
  /** What the tool's MCP server calls it. */
  readonly serverTool: string;
  readonly access: string;
  readonly risk: string;
  /** Who must agree to each call: `none`, `manager` or `dual`. */
  readonly approval: string;
  readonly needsApproval: boolean;
  /** JSON Schema of the arguments, already narrowed to what was granted. Check each call against it. */
  readonly input: JSONObject;
  readonly output: JSONObject | null;
  /** Seconds that a call may take. */
  readonly timeout: number | null;
  readonly idempotent: boolean;
  /** The last day (UTC) on which it may be called, such as `2027-06-30`. */
  readonly expires: string | null;
  readonly description: string | null;
  /** The schema as the bundle has it: an object, true, false, or null where none is declared. */
  readonly declaredInput: JSONObject | boolean | null;
  /** What only the gateway can hold, because it counts: `after`, `rate`. */
  readonly conditions: readonly string[];
  expired(today?: string | Date): boolean;
  decide(args: unknown, options?: OfDay): Decision;
}

/** What can be said of one call beforehand: the words are those of `ensign check` and of the gateway. */
export interface Decision {
  /** `unknown` where only the gateway can say. */
  readonly verdict: "allowed" | "needs-approval" | "refused" | "unknown";
  /** What the name means; null where that is not granted. */
  readonly operation: Operation | null;
  /** Of a refusal: `not-granted`, `expired` or `arguments`. Of what is unknown: `schema`, `after` or `rate`. */
  readonly reason: string | null;
  readonly text: string;
}

export interface Model {
  readonly provider: string;
  readonly name: string;
  readonly parameters: JSONObject;
  /** The models that take over when this one cannot answer, in their order. */
  readonly fallbacks: readonly Model[];
}

export interface Tool {
  readonly name: string;
  readonly version: string;
  readonly server: JSONObject;
  /** A reference such as `{"ref": "vault:payments"}`, never a secret. */
  readonly credentials: JSONObject;
  readonly operations: ReadonlyMap<string, Operation>;
  /** Of a tool that keeps something for agents: `kind` (skills, memory, knowledge), `scope` and more. */
  readonly store: JSONObject | null;
}

export interface Limits {
  readonly steps: number | null;
  readonly tokens: number | null;
  readonly costUSD: number | null;
  readonly seconds: number | null;
  readonly costUSDPerDay: number | null;
}

export interface ToolSchema {
  name: string;
  description?: string;
  input_schema: JSONObject;
}

/** What OpenTelemetry's spans can do, as far as this client asks. */
export interface SpanLike {
  readonly attributes?: Record<string, unknown>;
  setAttribute(name: string, value: string | number | boolean): unknown;
  setAttributes(attributes: Record<string, any>): unknown;
  setStatus(status: { code: number; message?: string }): unknown;
  recordException?(problem: any): void;
  end(): void;
}

export interface TracerLike {
  startActiveSpan<F extends (span: any) => unknown>(name: string, options: any, work: F): ReturnType<F>;
}

export interface Traced {
  /** OpenTelemetry's span; undefined without a tracer. */
  readonly span: SpanLike | undefined;
  /** The run's name: what was given, else the trace's id, else a random one. */
  readonly run: string | undefined;
  /**
   * What a client of the gateway by HTTP sends, so that its calls are this run's and have this session's version. Throws
   * `InvalidArgument` for a name or a key that the gateway does not take: it takes 1 to 256 printable characters of ASCII
   * without blanks.
   */
  readonly gatewayHeaders: { readonly [name: string]: string };
  /** Says that the run or call failed though nothing is thrown; `reason` is its `error.type`. */
  fail(reason?: string): void;
  /** Says how many tokens the whole run used, where no span inside says it. */
  usage(used: { inputTokens: number; outputTokens: number }): void;
}

export interface Selected<T> {
  tools: T;
  /** Names of tools that were given and are not granted, or mean several operations. */
  dropped: string[];
  /** What the agent may call and nobody gave, as `tool.operation`. */
  missing: string[];
}

export interface OfDay {
  /** The present day in UTC: a Date, or text such as `2027-06-30`. Anything else throws InvalidArgument. */
  today?: string | Date;
}

export interface OfTools extends OfDay {
  /** The tool whose server the tools come from. */
  of?: string;
}

export declare class Session {
  private constructor();
  readonly agent: string;
  readonly environment: string;
  readonly version: string;
  readonly digest: string;
  readonly phase: Phase;
  readonly key: string;
  readonly bucket: number;
  readonly artifact: string;
  readonly owner: string;
  readonly identity: string;
  readonly description: string | null;
  readonly labels: { readonly [name: string]: string };
  readonly hasModel: boolean;
  /** Throws NotDeclared if the agent has no model of its own. */
  readonly model: Model;
  /** Throws NotDeclared if the agent has no prompt, or only `prompts`. */
  readonly instructions: string;
  readonly prompts: { readonly [name: string]: string };
  /** What telemetry may call the agent too, for frameworks that cannot bear `<team>/<agent>`. */
  readonly alias: string | null;
  /** What starts a run, for the runtime: `cron`, `webhook` or `queue`. */
  readonly triggers: readonly JSONObject[];
  readonly contract: JSONObject;
  readonly tools: readonly Tool[];
  readonly delegates: readonly string[];
  readonly autonomy: string;
  readonly limits: Limits;
  readonly runtime: JSONObject;
  readonly bundle: JSONObject;
  allowed(tool: string, operation: string, options?: OfDay): Operation | null;
  resolve(name: string, options?: OfDay): Operation | null;
  candidates(name: string): Operation[];
  decide(name: string, args: unknown, options?: OfDay): Decision;
  /** `observe` where the gateway lets through, and logs, what it would refuse; else `enforce`. */
  readonly mode: string;
  toolSchemas(options?: OfDay): ToolSchema[];
  allows(tool: unknown, options?: OfTools): boolean;
  toolsFor<T>(tools: Iterable<T>, options?: OfTools): Selected<T[]>;
  toolsFor<T>(tools: { readonly [name: string]: T }, options?: OfTools): Selected<{ [name: string]: T }>;
  exceeded(used: { steps?: number; tokens?: number; costUSD?: number; seconds?: number }): string | null;
  telemetryAttributes(): { [name: string]: string };
  within<R>(work: () => R): R;
  run<R>(work: (run: Traced) => R, options?: { tracer?: TracerLike; name?: string }): R;
  call<R>(name: string, args: unknown, work: (call: Traced) => R, options?: { tracer?: TracerLike }): R;
  raiseIfHalted(): Promise<void>;
}

export declare class Fleet {
  constructor(
    live: string,
    options?: {
      /** The lines that `ensign keys` prints, or the path of a file with them; default `ENSIGN_KEYS`. */
      keys?: string;
      environment?: string;
      /** The path of a file that remembers what was seen. */
      state?: string;
      /** Seconds since the host was last heard. */
      maxAge?: number;
      cacheBytes?: number;
      warn?: (message: string) => void;
    },
  );
  readonly path: string;
  route(agent: string): Promise<Route>;
  session(agent: string, options?: { key?: string }): Promise<Session>;
}

/** For OpenTelemetry's SDK, as one of a provider's `spanProcessors`. */
export declare class SpanProcessor {
  constructor(options?: { baggage?: boolean });
  onStart(span: any, parentContext?: any): void;
  onEnd(span?: any): void;
  forceFlush(): Promise<void>;
  shutdown(): Promise<void>;
}
