/** The key of what takes the device away: while it goes on nothing of it is asked for, since it may be gone already. */
export const LEAVING = ["devices", "leave"];
