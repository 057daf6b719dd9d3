import { Center, Loader } from "@mantine/core";

/** Until something is there. Says nothing in words: it may be the words that are waited for. */
export const Waiting = () => (
  <Center mih={160} role="status" aria-busy="true">
    <Loader type="dots" aria-hidden />
  </Center>
);
