import Type from "typebox";
import { hashPin, removePin, setPin } from "../../store/approval-pins.ts";
import { lockUser } from "../../store/users.ts";
import { HubError } from "../../core/errors.ts";
import { Pin } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { confirmPassword, noteOn } from "./own-account.ts";

const PasswordNow = Type.String({ minLength: 1, maxLength: 1024, description: "Of your account" });

export const put = defineRoute({
  method: "PUT",
  path: "/api/v1/account/approval-pin",
  tag: "Access",
  summary: "Set the PIN by which you approve",
  description:
    "In organisations whose risk policy asks for one. Five wrong tries in a row lock it for 15 minutes; a new one is not locked. Nobody can see whether you have one.",
  access: "self",
  body: Type.Object({ password: PasswordNow, pin: Pin }, { additionalProperties: false, title: "ApprovalPin" }),
  bodyExample: { password: "correct horse battery", pin: "270118" },
  replies: { 204: { description: "It holds from now on" } },
  errors: ["forbidden", "not_found"],
  async handler(call) {
    const { context, body, commit } = call;
    const user = await confirmPassword(call, body.password);
    const pinHash = await hashPin(context, user.id, body.pin);
    return await commit(async (db) => {
      if (!(await lockUser(db, user.id))) throw new HubError("not_found", "the account is gone");
      await setPin(db, user.id, pinHash, context.clock());
      return { answer: { status: 204 }, audit: [noteOn(user, "user.approval_pin_set")] };
    });
  },
});

export const remove = defineRoute({
  method: "DELETE",
  path: "/api/v1/account/approval-pin",
  tag: "Access",
  summary: "Take the PIN away by which you approve",
  access: "self",
  body: Type.Object({ password: PasswordNow }, { additionalProperties: false, title: "ApprovalPinRemoval" }),
  replies: { 204: { description: "You have none" } },
  errors: ["forbidden"],
  async handler(call) {
    const user = await confirmPassword(call, call.body.password);
    return await call.commit(async (db) => {
      const wasThere = await removePin(db, user.id);
      return { answer: { status: 204 }, audit: wasThere ? [noteOn(user, "user.approval_pin_removed")] : [] };
    });
  },
});
