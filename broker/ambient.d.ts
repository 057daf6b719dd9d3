declare module "qlobber" {
  interface Matcher<T> {
    add(pattern: string, value: T): void;
    remove(pattern: string, value: T): void;
    match(topic: string): T[];
  }
  const qlobber: {
    Qlobber: new <T>(options: object) => Matcher<T>;
    QlobberTrue: new (options: object) => { add(pattern: string): void; test(topic: string): boolean };
  };
  export default qlobber;
}
declare module "qlobber/aedes/qlobber-sub.js" {
  export default class QlobberSub {
    constructor(options: object);
    readonly subscriptionsCount: number;
    add(topic: string, value: object): void;
    remove(topic: string, value: object): void;
    match(topic: string): { clientId: string; topic: string; qos: 0 | 1 | 2 }[];
  }
}
