/** Counts what the page still has to do, so that tests can wait for rest instead of for time. */
export type Activity = {
  /** Something began; call the result when it is over. */
  begin(): () => void;
  /** Resolves when nothing has been pending for two frames. */
  whenIdle(): Promise<void>;
};

export function createActivity(): Activity {
  let pending = 0;
  return {
    begin() {
      pending++;
      let isOver = false;
      return () => {
        if (!isOver) pending--;
        isOver = true;
      };
    },
    whenIdle: () =>
      new Promise((resolve) => {
        let quietFrames = 0;
        const look = () => {
          quietFrames = pending === 0 ? quietFrames + 1 : 0;
          if (quietFrames > 2) resolve();
          else requestAnimationFrame(look);
        };
        requestAnimationFrame(look);
      }),
  };
}
