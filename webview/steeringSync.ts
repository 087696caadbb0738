import type { FromPanel } from '../src/protocol/panel.ts';
import type { Store } from './store.ts';
import { setSteering } from './updates.ts';

/** Tells the extension how the interventions were changed here, and that they are to be run. */
export function tellInterventions(store: Store, host: { post(message: FromPanel): void }): void {
  store.subscribe(({ steering, trace }) => {
    if (trace === null) return;
    const { interventions, told, isWanted } = steering;
    if (interventions !== told) {
      host.post({ type: 'interventionsChanged', interventions });
      store.apply(setSteering((now) => ({ ...now, told: interventions })));
    } else if (isWanted) {
      host.post({ type: 'runInterventions' });
      store.apply(setSteering((now) => ({ ...now, isWanted: false })));
    }
  });
}
